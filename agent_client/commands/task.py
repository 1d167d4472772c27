"""`show`, `why`, `cancel` and `rerun`: look at one task, or change it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from agent_client.commands.api import Client
from agent_client.commands.session import plain, print_json, stand, with_client
from agent_client.errors import ExitCode

_OUTPUT = frozenset({"stdout", "stderr", "script_content"})
"""Long texts: `logs` and `--json` give them."""
_ENDS = {
    "exit": "the script ended by itself",
    "user_cancel": "it was canceled",
    "timeout": "its time limit was reached",
    "dependency_failed": "a task it depends on did not complete",
    "start_failed": "it could not be started",
    "supervisor_lost": "its supervisor died",
    "host_reboot": "its host restarted",
    "agent_lost": "its host vanished",
    "out_of_memory": "it ran out of memory",
}


def run(options: argparse.Namespace) -> int:
    """Run the verb of the options on its task."""
    verb = _VERBS[options.verb]
    return with_client(lambda client: verb(client, options))


def _show(client: Client, options: argparse.Namespace) -> int:
    task = client.get(f"tasks/{options.id}/")
    if options.json:
        print_json(task)
        return ExitCode.OK
    facts = {name: value for name, value in task.items() if name not in _OUTPUT}
    width = max(map(len, facts))
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            print(f"{name:{width}}  {plain(value)}")
    return ExitCode.OK


def _why(client: Client, options: argparse.Namespace) -> int:
    task = client.get(f"tasks/{options.id}/")
    sentence = explain(task)
    if options.json:
        names = ("id", "status", "phase", "reason", "waiting_reason")
        print_json({**{name: task.get(name) for name in names}, "why": sentence})
    else:
        print(plain(sentence))
    return ExitCode.OK


def explain(task: dict[str, Any]) -> str:
    """Return one sentence: what the task waits for, where it runs, or how it ended."""
    status = task.get("status")
    if status in ("blocked", "waiting"):
        return f"{stand(task)}: {task.get('waiting_reason') or 'about to be given to a host'}"
    if status == "running":
        unreachable = ", which is unreachable" if task.get("unreachable") else ""
        return f"{stand(task)}: on {task.get('agent_id') or 'a host'}{unreachable}"
    if task.get("waiting_reason"):  # the server's own sentence knows who and which
        return f"{status}: {task['waiting_reason']}"
    reason = str(task.get("reason") or "")
    sentence = _ENDS.get(reason, reason or "no reason is known")
    if task.get("exit_code") is not None:
        sentence += f", exit code {task['exit_code']}"
    elif task.get("signal"):
        sentence += f", signal {task['signal']}"
    detail = task.get("reason_detail")
    return f"{status}: {sentence}" + (f" ({detail})" if detail else "")


def _cancel(client: Client, options: argparse.Namespace) -> int:
    answer = client.post(f"tasks/{options.id}/cancel/")
    if options.json:
        print_json(answer)
    else:
        print(f"task {options.id}: {plain(_stand_of(answer) or 'cancel requested')}")
    return ExitCode.OK


def _rerun(client: Client, options: argparse.Namespace) -> int:
    task = client.post(f"tasks/{options.id}/rerun/")
    if options.json:
        print_json(task)
    else:
        print(task["id"])
    return ExitCode.OK


def _stand_of(answer: Any) -> str:
    return stand(answer) if isinstance(answer, dict) and "status" in answer else ""


_VERBS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "show": _show,
    "why": _why,
    "cancel": _cancel,
    "rerun": _rerun,
}
