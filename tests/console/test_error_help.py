"""The page and the API that explain error codes."""

from __future__ import annotations

import pytest
from django.utils import translation

from agent_client.protocol.error_codes import CODES
from dialer_platform.console.error_help import explained

pytestmark = pytest.mark.django_db


def test_page_explains_every_code(page_client, viewer_user):
    text = page_client(viewer_user).get("/help/errors/").content.decode()
    assert [code for code in CODES if f'data-testid="error-{code}"' not in text] == []


def test_page_shows_what_matches_all_words(page_client, viewer_user):
    text = page_client(viewer_user).get("/help/errors/?q=enrolment expired").content.decode()
    assert 'data-testid="error-expired_enrolment_token"' in text
    assert 'data-testid="error-conflict"' not in text


def test_page_says_so_when_nothing_matches(page_client, viewer_user):
    text = page_client(viewer_user).get("/help/errors/?q=<zebra>").content.decode()
    assert "&lt;zebra&gt;" in text


def test_api_answers_the_same(api_client, viewer_user):
    found = api_client(viewer_user).get("/api/v1/errors/").json()
    assert [one["code"] for one in found] == sorted(CODES)
    assert found[0].keys() == {"code", "meaning", "remedy"}


def test_strangers_are_sent_away(client):
    assert client.get("/help/errors/").status_code == 302
    assert client.get("/api/v1/errors/").status_code == 401


def test_language_of_the_reader_decides():
    with translation.override("zh-hans"):
        assert {one.code: one.meaning for one in explained()}["not_found"] == (
            CODES["not_found"].sentence_zh
        )
