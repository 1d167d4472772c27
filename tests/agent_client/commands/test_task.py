"""`show`, `why`, `cancel`, `rerun`."""

from __future__ import annotations

import json

import pytest

from agent_client.commands.task import explain


def test_show_prints_the_facts_that_there_are(server, run):
    task = {"id": 7, "name": "a\nb", "agent_id": None, "env": {}, "exit_code": 0, "stdout": "long"}
    server.answer("GET tasks/7/", task)
    assert run("show", "7").out == "id         7\nname       a\\nb\nexit_code  0\n"


def test_show_as_json_is_what_the_server_said(server, run):
    server.answer("GET tasks/7/", {"id": 7, "stdout": "long"})
    assert json.loads(run("show", "7", "--json").out) == {"id": 7, "stdout": "long"}


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            {"status": "waiting", "phase": "queued", "waiting_reason": "no free GPU"},
            "waiting (queued): no free GPU",
        ),
        (
            {"status": "waiting", "phase": "offered"},
            "waiting (offered): about to be given to a host",
        ),
        ({"status": "blocked", "waiting_reason": "waits for 3"}, "blocked: waits for 3"),
        ({"status": "running", "phase": "running", "agent_id": "a-1"}, "running: on a-1"),
        (
            {"status": "running", "phase": "running", "agent_id": "a-1", "unreachable": True},
            "running: on a-1, which is unreachable",
        ),
        (
            {"status": "failed", "reason": "exit", "exit_code": 3},
            "failed: the script ended by itself, exit code 3",
        ),
        (
            {"status": "failed", "reason": "exit", "signal": 9},
            "failed: the script ended by itself, signal 9",
        ),
        (
            {"status": "failed", "reason": "start_failed", "reason_detail": "no pwsh"},
            "failed: it could not be started (no pwsh)",
        ),
        (
            {"status": "canceled", "reason": "user_cancel", "waiting_reason": "Canceled by eva."},
            "canceled: Canceled by eva.",
        ),
        ({"status": "failed", "reason": "of_a_newer_version"}, "failed: of_a_newer_version"),
    ],
)
def test_explain_says_it_in_one_sentence(task, sentence):
    assert explain(task) == sentence


def test_why_prints_the_sentence(server, run):
    server.answer("GET tasks/7/", {"status": "waiting", "phase": "queued", "waiting_reason": "x"})
    assert run("why", "7").out == "waiting (queued): x\n"


def test_why_as_json_has_the_facts_too(server, run):
    server.answer("GET tasks/7/", {"id": 7, "status": "canceled", "reason": "user_cancel"})
    content = json.loads(run("why", "7", "--json").out)
    assert content["reason"] == "user_cancel"
    assert content["why"] == "canceled: it was canceled"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"id": 7, "status": "running", "phase": "canceling"}, "task 7: running (canceling)\n"),
        (None, "task 7: cancel requested\n"),
    ],
)
def test_cancel_tells_where_the_task_stands(server, run, answer, text):
    server.answer("POST tasks/7/cancel/", answer, status=202)
    assert run("cancel", "7").out == text


def test_cancel_of_a_final_task_ends_with_5(server, run):
    server.answer(
        "POST tasks/7/cancel/", {"code": "conflict", "detail": "It has ended."}, status=409
    )
    outcome = run("cancel", "7")
    assert (outcome.code, outcome.err) == (5, "agent_client: It has ended.\n")


def test_cancel_and_rerun_as_json_print_the_task(server, run):
    server.answer("POST tasks/7/cancel/", {"id": 7}, status=202)
    server.answer("POST tasks/7/rerun/", {"id": 8}, status=201)
    assert json.loads(run("cancel", "7", "--json").out) == {"id": 7}
    assert json.loads(run("rerun", "7", "--json").out) == {"id": 8}


def test_rerun_prints_the_new_id_alone(server, run):
    server.answer("POST tasks/7/rerun/", {"id": 8}, status=201)
    assert run("rerun", "7").out == "8\n"
