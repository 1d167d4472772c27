"""Nothing a person or program sends is answered with a 500."""

from __future__ import annotations

import json
import random

import pytest
from rest_framework.test import APIClient

from tests.platform.test_doors import ROUTES

PAGES = sorted(
    {
        path
        for path, _ in ROUTES
        if not path.startswith(("/admin/", "/api/", "/accounts/", "/i18n/", "/metrics", "/readyz"))
    }
)
REST = sorted({path for path, _ in ROUTES if path.startswith("/api/v1/")})
IDS = ["0", "999999", "9223372036854775808", "9" * 30, "x", "²"]
NAMES = [
    *("name", "template_type", "script_content", "script_type", "priority", "cpu_cores"),
    *("gpu_count", "gpu_memory", "depends_on", "agent_id", "labels", "timeout", "env"),
    *("working_dir", "run_as", "limits", "merge_output", "ids", "action", "next", "q"),
    *("template", "rerun", "status"),
    *("page", "page_size", "ordering", "offset", "limit", "created_after", "max_uses", "scope"),
]
TEXTS = ["", "0", "-1", "1e9", "9" * 30, "a\x00b", "<b>", "日本", "x" * 300, "1,2,x", "²", "NaN"]
VALUES = [None, True, -1, 10**30, 1.5, [], [1], {}, {"a": 1}, "\ud800", *TEXTS]
VALID = {"name": "n", "template_type": "t", "script_content": "true"}


def some(rng: random.Random, values: list) -> dict:
    """Return a body of a few known names with odd values, half of them valid otherwise."""
    body = {name: rng.choice(values) for name in rng.sample(NAMES, rng.randint(0, 8))}
    return body | (VALID if rng.random() < 0.5 else {})


def odd_path(rng: random.Random, path: str) -> str:
    """Return the path with another id."""
    key = rng.choice(IDS)
    return path.replace("/1/", f"/{key}/").replace("/x/", f"/{key}/")


@pytest.mark.parametrize("path", PAGES)
def test_page_survives_odd_input(path, page_client, admin_user):
    rng, client = random.Random(path), page_client(admin_user)
    client.raise_request_exception = False
    for _ in range(12):
        fragment = {"HTTP_HX_REQUEST": "true"} if rng.random() < 0.5 else {}
        body, place = some(rng, TEXTS), odd_path(rng, path)
        for send in (client.get, client.post):
            assert send(place, body, **fragment).status_code < 500, (place, body)


@pytest.mark.parametrize("path", REST)
def test_endpoint_survives_odd_input(path, admin_user):
    rng, client = random.Random(path), APIClient(raise_request_exception=False)
    client.force_login(admin_user)
    for _ in range(12):
        place, body = odd_path(rng, path), some(rng, VALUES)
        body = [body] if "batch" in path else body
        for method in ("post", "patch", "put"):
            answer = getattr(client, method)(
                place, json.dumps(body), content_type="application/json"
            )
            assert answer.status_code < 500, (place, body)
        query = some(rng, TEXTS)
        assert client.get(place, query).status_code < 500, (place, query)


@pytest.mark.parametrize("body", ["", "null", "[]", "1", '"x"', "{", "\x00", "[" * 50_000])
@pytest.mark.parametrize("path", [path for path in REST if "/1/" not in path])
def test_endpoint_survives_a_body_of_another_kind(path, body, admin_user):
    client = APIClient(raise_request_exception=False)
    client.force_login(admin_user)
    answer = client.post(path, body, content_type="application/json")
    assert answer.status_code < 500
    assert answer.status_code < 400 or set(answer.json()) == {"code", "detail", "fields"}
