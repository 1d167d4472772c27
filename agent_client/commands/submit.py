"""`submit`: make a task of a script file or of standard input.

Prints the task's id alone on the first line. `--wait` then streams the log and ends with
the task's exit code, and stderr says why a task did not complete; with `--json` the log
goes to stderr and the final task to stdout.
Repeated by itself when the answer was lost, without making a second task.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_client.commands.api import Client
from agent_client.commands.session import plain, print_json, with_client
from agent_client.errors import ConfigError, ExitCode

MAX_SCRIPT_BYTES = 1024 * 1024
_TYPE_OF_SUFFIX = {".py": "python", ".ps1": "powershell"}


def run(options: argparse.Namespace) -> int:
    """Submit the script and return 0, or with --wait the task's exit code."""
    return with_client(lambda client: _submit(client, options))


def _submit(client: Client, options: argparse.Namespace) -> int:
    task = client.post("tasks/", task_body(options), idempotency_key=str(uuid.uuid4()))
    if options.wait:
        return _wait(client, task, as_json=options.json)
    if options.json:
        print_json(task)
    else:
        print(task["id"])
    return ExitCode.OK


def _wait(client: Client, task: dict[str, Any], *, as_json: bool) -> int:
    """Follow the task's log to its end and return its exit code."""
    from agent_client.commands.logs import exit_code_of, follow
    from agent_client.commands.task import explain

    if not as_json:
        print(task["id"], flush=True)
    try:
        final = follow(client, task["id"], (sys.stderr if as_json else sys.stdout).buffer)
    except KeyboardInterrupt:
        print(f"task {task['id']} goes on; cancel {task['id']} ends it", file=sys.stderr)
        raise
    if as_json:
        print_json(final)
    if final.get("status") != "completed":
        # A task that never started, or was ended from outside, has nothing in its log about it.
        print(f"task {task['id']} {plain(explain(final))}", file=sys.stderr)
    return exit_code_of(final)


def task_body(options: argparse.Namespace) -> dict[str, Any]:
    """Return the API's body for the options; flags that were not given are left out."""
    script = _read_script(options.file)
    body: dict[str, Any] = {
        "name": options.name or ("stdin" if options.file == "-" else Path(options.file).name),
        "template_type": options.template_type or "custom",
        "script_content": script,
        "script_type": options.type or _script_type(options.file, script),
        "priority": options.priority,
        "cpu_cores": options.cpu,
        "gpu_count": options.gpus,
        "gpu_memory": options.gpu_memory,
        "depends_on": _ids(options.after) if options.after else None,
        "agent_id": options.agent,
        "timeout": _whole(options.timeout),
        "env": pairs(options.env, "--env") or None,
        "labels": pairs(options.label, "--label") or None,
        "working_dir": options.working_dir,
        "merge_output": options.merge_output or None,
        "run_as": options.run_as,
        "limits": pairs(options.limit, "--limit") or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _read_script(name: str) -> str:
    """Return the script's text exactly as it is; the server stores it so."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                data = stream.read(MAX_SCRIPT_BYTES + 1)
        if len(data) > MAX_SCRIPT_BYTES:
            raise _wrong(name, f"is larger than {MAX_SCRIPT_BYTES} bytes", "Make it shorter.")
        return data.decode("utf-8")
    except OSError as error:
        raise _wrong(name, error.strerror or "cannot be read", "Name a script or -.") from None
    except UnicodeDecodeError:
        raise _wrong(name, "is not UTF-8 text", "Save it as UTF-8.") from None


def _script_type(name: str, script: str) -> str:
    """Guess the type from the file's name, then from the script's first line."""
    first = script.partition("\n")[0]
    by_line = "python" if first.startswith("#!") and "python" in first else "shell"
    return _TYPE_OF_SUFFIX.get(Path(name).suffix.lower(), by_line)


def _ids(text: str) -> list[int]:
    """Return the ids in `1,2`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise _wrong("--after", f"{text!r} is not a list of ids", "Write them as 1,2.")
    return [int(part) for part in parts]


def pairs(items: Sequence[str], flag: str) -> dict[str, str]:
    """Return the pairs of a repeatable K=V flag."""
    pairs: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise _wrong(flag, f"{item!r} has no name or no =", "Write it as NAME=VALUE.")
        pairs[name] = value
    return pairs


def _whole(seconds: float | None) -> float | int | None:
    """Return whole seconds as an integer, which is how people write them."""
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def _wrong(what: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError(what, "command line", problem, remedy)
