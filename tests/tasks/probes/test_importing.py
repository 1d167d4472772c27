"""A blackbox_exporter module file becomes kinds and configurations; a hostile one a sentence."""

from __future__ import annotations

import pytest

URL = "/api/v1/probes/import/blackbox/"
FILE = """
modules:
  web:
    prober: http
    timeout: 5s
    http: {method: GET, valid_status_codes: [200, 301]}
  ssh:
    prober: tcp
  odd:
    prober: unicorn
"""
BOMB = "a: &a [x]\nb: [*a, *a]\nmodules: {}"


def send(client, text: str | bytes):
    """Post a file as the body."""
    data = text if isinstance(text, bytes) else text.encode()
    return client.post(URL, data, content_type="application/yaml")


@pytest.fixture
def client(page_client, operator_user):
    """Return an operator's client that sends raw bodies."""
    return page_client(operator_user)


def test_modules_become_kinds_and_configurations(client):
    shown = {one["name"]: one for one in send(client, FILE).json()["modules"]}
    assert (shown["web"]["kind"], shown["web"]["timeout"]) == ("http", 5.0)
    assert shown["web"]["config"]["expected_status"] == ["200", "301"]
    assert (shown["ssh"]["kind"], shown["odd"]["kind"]) == ("tcp", "")
    assert shown["odd"]["lost"] == ["prober unicorn"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "modules: 7",
        "[1, 2",
        BOMB,
        b"\xff\xfe\x00",
        "modules: " + "[" * 3_000,
        "!!python/x 1",
    ],
)
def test_anything_else_is_refused_with_a_sentence(client, text):
    answer = send(client, text)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_larger_file_than_allowed_is_refused(client):
    assert send(client, "x" * (1024 * 1024 + 1)).status_code == 413


def test_viewer_imports_nothing(page_client, viewer_user):
    assert send(page_client(viewer_user), FILE).status_code == 403
