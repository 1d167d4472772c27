"""Printing for people: safe against the terminal, aligned, errors with their fields."""

from __future__ import annotations

import pytest

from agent_client.commands.session import plain, stand, table
from tests.agent_client.commands.conftest import TOKEN


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (3, "3"), ("训练", "训练"), ("a\x1b]0;x\x07\nb", "a\\x1b]0;x\\x07\\nb")],
)
def test_plain_escapes_what_could_command_a_terminal(value, text):
    assert plain(value) == text


def test_table_aligns_wide_characters():
    assert table(("ID", "NAME", "X"), [(1, "训练", "a"), (22, "b", "c")]) == (
        "ID  NAME  X\n1   训练  a\n22  b     c"
    )


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ({"status": "waiting", "phase": "offered"}, "waiting (offered)"),
        ({"status": "running", "phase": "running"}, "running"),
        ({"status": "failed", "phase": ""}, "failed"),
    ],
)
def test_stand_tells_the_phase_where_it_says_more(task, text):
    assert stand(task) == text


def test_error_shows_sentence_and_fields(server, run):
    fields = {"priority": ["Must be 1 to 5."], "name": "Is empty."}
    server.answer("GET tasks/7/", {"detail": "Invalid input.", "fields": fields}, status=400)
    outcome = run("show", "7")
    assert outcome.code == 5
    assert outcome.out == ""
    assert outcome.err == (
        "agent_client: Invalid input.\n  priority: Must be 1 to 5.\n  name: Is empty.\n"
    )


def test_refused_credential_ends_with_4_and_never_shows_it(server, run):
    server.answer("GET tasks/7/", {"detail": "Invalid token."}, status=401)
    outcome = run("show", "7")
    assert outcome.code == 4
    assert TOKEN not in outcome.err


def test_missing_server_ends_with_3_and_a_remedy(server, run, monkeypatch):
    monkeypatch.setenv("DIALER_URL", "http://127.0.0.1:1")
    outcome = run("show", "7")
    assert outcome.code == 3
    assert "cannot reach http://127.0.0.1:1" in outcome.err
    assert "Check its address" in outcome.err


@pytest.mark.parametrize(
    "argv", [(), ("nonsense",), ("show",), ("show", "x"), ("submit", "--cpu", "a")]
)
def test_wrong_usage_ends_with_2(run, argv):
    with pytest.raises(SystemExit) as caught:
        run(*argv)
    assert caught.value.code == 2
