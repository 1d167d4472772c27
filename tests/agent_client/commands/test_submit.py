"""`submit`: the body of every flag, the script untouched, waiting for the end."""

from __future__ import annotations

import json

import pytest

from tests.agent_client.commands.conftest import Answer

LOG = {"X-Log-Complete": "true"}


@pytest.fixture
def accepting(server):
    """Return the server, which gives every task the id 12."""
    server.answer("POST tasks/", {"id": 12, "status": "waiting"}, status=201)
    return server


@pytest.fixture
def script(tmp_path):
    """Return the path of a small shell script."""
    path = tmp_path / "train.sh"
    path.write_bytes("echo 你好\r\n".encode())
    return path


def test_submit_prints_the_id_alone(accepting, run, script):
    outcome = run("submit", str(script))
    assert (outcome.code, outcome.out, outcome.err) == (0, "12\n", "")


def test_script_is_sent_untouched_with_few_words(accepting, run, script):
    run("submit", str(script))
    (request,) = accepting.requests
    assert request.body == {
        "name": "train.sh",
        "template_type": "custom",
        "script_content": "echo 你好\r\n",
        "script_type": "shell",
    }
    assert request.headers["Idempotency-Key"]


def test_every_flag_becomes_its_field(accepting, run, script):
    run(
        *("submit", str(script), "--name", "n", "--template-type", "t", "--type", "python"),
        *("--priority", "1", "--cpu", "0", "--gpus", "2", "--gpu-memory", "4000"),
        *("--after", "1, 2", "--env", "A=1", "--env", "B=x=y", "--label", "zone=a"),
        *("--timeout", "30", "--agent", "a-1", "--working-dir", "/w", "--merge-output"),
        *("--run-as", "build", "--limit", "memory_mb=100"),
    )
    body = accepting.requests[0].body
    del body["script_content"]
    assert body == {
        "name": "n",
        "template_type": "t",
        "script_type": "python",
        "priority": 1,
        "cpu_cores": 0,
        "gpu_count": 2,
        "gpu_memory": 4000,
        "depends_on": [1, 2],
        "agent_id": "a-1",
        "timeout": 30,
        "env": {"A": "1", "B": "x=y"},
        "labels": {"zone": "a"},
        "working_dir": "/w",
        "merge_output": True,
        "run_as": "build",
        "limits": {"memory_mb": "100"},
    }


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.py", "print(1)", "python"),
        ("a.PS1", "dir", "powershell"),
        ("a", "#!/usr/bin/env python3\n", "python"),
        ("a", "#!/bin/bash\n# python\n", "shell"),
    ],
)
def test_script_type_is_guessed(accepting, run, tmp_path, name, text, kind):
    (tmp_path / name).write_text(text)
    run("submit", str(tmp_path / name))
    assert accepting.requests[0].body["script_type"] == kind


@pytest.mark.parametrize("argv", [("submit",), ("submit", "-")])
def test_script_is_read_from_standard_input(accepting, run, argv):
    run(*argv, stdin=b"true\n")
    body = accepting.requests[0].body
    assert (body["name"], body["script_content"]) == ("stdin", "true\n")


def test_json_prints_the_task(accepting, run, script):
    outcome = run("submit", str(script), "--json")
    assert json.loads(outcome.out)["id"] == 12


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("missing.sh",), "No such file"),
        (("{script}", "--env", "NOVALUE"), "NAME=VALUE"),
        (("{script}", "--after", "1,x"), "not a list of ids"),
    ],
)
def test_wrong_input_ends_with_2_before_anything_is_sent(accepting, run, script, argv, words):
    outcome = run("submit", *(word.format(script=script) for word in argv))
    assert outcome.code == 2
    assert words in outcome.err
    assert accepting.requests == []


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe", "not UTF-8"), (b"#" * (1024 * 1024 + 1), "larger than")]
)
def test_unusable_script_ends_with_2(accepting, run, tmp_path, content, words):
    (tmp_path / "s").write_bytes(content)
    outcome = run("submit", str(tmp_path / "s"))
    assert outcome.code == 2
    assert words in outcome.err


def test_lost_answer_does_not_make_a_second_task(server, run, script):
    server.routes["POST tasks/"] = [Answer(cut=True), Answer({"id": 12}, 201)]
    assert run("submit", str(script)).out == "12\n"
    first, second = server.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"status": "completed", "exit_code": 0}, 0),
        ({"status": "failed", "exit_code": 3}, 3),
        ({"status": "failed", "exit_code": None, "signal": 9}, 137),
        ({"status": "canceled", "exit_code": None, "signal": None}, 1),
    ],
)
def test_wait_streams_the_log_and_ends_like_the_task(accepting, run, script, end, code):
    accepting.routes["GET tasks/12/log/"] = [Answer(b"one\n"), Answer(b"two\n", headers=LOG),
                                             Answer(b"", headers=LOG)]  # fmt: skip
    accepting.answer("GET tasks/12/", {"id": 12, **end})
    outcome = run("submit", str(script), "--wait")
    assert outcome.out == "12\none\ntwo\n"
    assert outcome.code == code


def test_wait_says_why_a_task_never_started(accepting, run, script):
    accepting.routes["GET tasks/12/log/"] = [Answer(b"", headers=LOG)]
    sentence = "The script could not be started on vm."
    end = {"id": 12, "status": "failed", "exit_code": None, "waiting_reason": sentence}
    accepting.answer("GET tasks/12/", end)
    assert run("submit", str(script), "--wait").err == f"task 12 failed: {sentence}\n"


def test_wait_with_json_keeps_stdout_for_the_task(accepting, run, script):
    accepting.routes["GET tasks/12/log/"] = [Answer(b"one\n"), Answer(b"", headers=LOG)]
    accepting.answer("GET tasks/12/", {"id": 12, "status": "completed", "exit_code": 0})
    outcome = run("submit", str(script), "--wait", "--json")
    assert json.loads(outcome.out)["status"] == "completed"
    assert outcome.err == "one\n"


def test_interrupt_while_waiting_says_that_the_task_goes_on(accepting, run, script, monkeypatch):
    def interrupt(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("agent_client.commands.logs.follow", interrupt)
    outcome = run("submit", str(script), "--wait")
    assert outcome.code == 130
    assert "task 12 goes on" in outcome.err
