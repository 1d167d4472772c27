"""`python -m agent_client`: the agent of a host, and the command line of the queue.

Only reads the arguments and calls one module of `agent_client.commands`; everything else
is imported there, so that a short command starts in well under 150 ms.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from agent_client import __version__

_INTERRUPTED = 130
_SCRIPT_TYPES = ("shell", "python", "powershell")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = build_parser().parse_args(argv)
    command = importlib.import_module(f"agent_client.commands.{options.module}")
    try:
        code: int = command.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # `logs 7 | head` closed the pipe: nobody is left to tell, and Python must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m agent_client",
        description="Runs the agent of this host, and talks to the task queue of a server.",
        epilog="Server and token come from DIALER_URL and DIALER_TOKEN, or from the section "
        "[client] of ~/.config/dialer/client.json.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_agent_commands(commands)
    _add_submit(commands)
    _add_task_commands(commands)
    _add_file_commands(commands)
    _add_plugin_commands(commands)
    return parser


Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers gives


def _add(
    commands: Commands[argparse.ArgumentParser], name: str, help: str, module: str = ""
) -> argparse.ArgumentParser:
    """Add one command that the module of its name runs."""
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(module=module or name)
    return parser


def _add_agent_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands that share the agent's settings."""
    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--server", metavar="URL", help="address of the server")
    settings.add_argument(
        "--ca-file", metavar="FILE", help="authorities of the server's certificate"
    )
    settings.add_argument(
        "--server-fingerprint", metavar="SHA256", help="the only certificate to trust"
    )
    settings.add_argument("--enroll", metavar="TOKEN", help="enrolment token, first start only")
    settings.add_argument("--config", metavar="FILE", help="configuration file, YAML or JSON")
    settings.add_argument("--name", help="name of this host")
    settings.add_argument("--state-dir", metavar="DIR", help="directory of the agent's state")
    settings.add_argument("--language", choices=("auto", "zh", "en"), help="language of the log")
    settings.add_argument("--log-mode", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR")
    for name, help, module in (
        ("main", "run the agent of this host", "main"),
        ("check-config", "print every setting with its origin, and what is wrong", "check_config"),
        ("status", "say how the agent of this host is", "status"),
        ("doctor", "look for what keeps the agent of this host from working", "doctor"),
    ):
        parser = commands.add_parser(name, help=help, parents=[settings])
        parser.set_defaults(module=module)
        if name != "main":
            parser.add_argument("--json", action="store_true", help="print JSON")


def _add_submit(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare `submit` with a flag per field of a task."""
    parser = _add(commands, "submit", "submit a script as a task and print its id")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="script, - = stdin")
    parser.add_argument("--name", help="name of the task (the file's name)")
    parser.add_argument("--template-type", metavar="T", help="kind of the task (custom)")
    parser.add_argument("--type", choices=_SCRIPT_TYPES, help="script type (from the file's name)")
    parser.add_argument("--priority", type=int, metavar="N", help="1 (first) to 5, default 3")
    parser.add_argument("--cpu", type=int, metavar="N", help="CPU cores, 0 books none")
    parser.add_argument("--gpus", type=int, metavar="N", help="number of GPUs")
    parser.add_argument("--gpu-memory", type=int, metavar="MB", help="per GPU, 0 = whole GPU")
    parser.add_argument("--after", metavar="1,2", help="ids of tasks that must complete first")
    parser.add_argument("--env", action="append", default=[], metavar="K=V", help="repeatable")
    parser.add_argument("--label", action="append", default=[], metavar="K=V", help="repeatable")
    parser.add_argument("--timeout", type=float, metavar="S", help="longest run in seconds")
    parser.add_argument("--agent", metavar="ID", help="run on this host only")
    parser.add_argument("--working-dir", metavar="DIR", help="directory the script starts in")
    parser.add_argument("--run-as", metavar="USER", help="run as this user of the host")
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="K=N",
        help="memory_mb, processes, open_files or nice; repeatable",
    )
    parser.add_argument("--merge-output", action="store_true", help="stdout and stderr as one")
    parser.add_argument("--json", action="store_true", help="print the task as JSON")
    parser.add_argument(
        "--wait", action="store_true", help="stream the log and exit with the task's exit code"
    )


def _add_task_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands that look at tasks or change one."""
    queue = _add(commands, "queue", "list tasks that are not final, most urgent first")
    queue.add_argument("--all", action="store_true", help="final ones too, newest first")
    queue.add_argument("--status", help="only this status")
    queue.add_argument("--limit", type=int, default=50, metavar="N", help="at most N (50)")
    logs = _add(commands, "logs", "print a task's log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the task ends")
    logs.add_argument("--offset", type=int, default=0, metavar="N", help="start at byte N")
    logs.add_argument("--tail", type=int, metavar="N", help="only the last N bytes")
    logs.add_argument("--stream", choices=("stdout", "stderr"), help="only this stream")
    parsers = [queue, logs]
    for name, help, module in (
        ("show", "print one task", "task"),
        ("why", "say what a task waits for, or how it ended", "task"),
        ("cancel", "cancel a task with all its processes", "task"),
        ("rerun", "submit a task again and print the new id", "task"),
    ):
        parser = _add(commands, name, help, module)
        parser.set_defaults(verb=name)
        parsers.append(parser)
    for parser in parsers:
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in parsers[1:]:
        parser.add_argument("id", type=int, metavar="ID", help="id of the task")


def _add_file_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands that move files between here and hosts."""
    put = _add(commands, "put", "send files to a host, or one to many hosts", "files")
    put.add_argument("local", nargs="+", metavar="LOCAL", help="files, or a directory to pack")
    put.add_argument("remote", metavar="AGENT:/path", help="only /path with --labels")
    put.add_argument("--labels", action="append", default=[], metavar="K=V", help="repeatable")
    put.add_argument("--mode", metavar="OCTAL", help="permissions of the file, such as 0640")
    put.add_argument("--owner", metavar="USER[:GROUP]", help="whom it is to belong to")
    put.add_argument("--wait", action="store_true", help="until it is there, with the log")
    get = _add(commands, "get", "fetch a file from a host", "files")
    get.add_argument("remote", metavar="AGENT:/path")
    get.add_argument("local", nargs="?", default=".", metavar="LOCAL", help="file or directory")
    listing = _add(commands, "ls", "show a directory of a host, or the head of a file", "files")
    listing.add_argument("remote", metavar="AGENT:/path")
    for parser, archive in ((put, "unpack it there"), (get, "pack the directory")):
        parser.add_argument("--archive", action="store_true", help=archive)
        parser.add_argument("--overwrite", action="store_true", help="replace what is there")
        parser.add_argument(
            "--preserve", action="store_true", help="keep permissions, as root also the owner"
        )
        parser.add_argument("--bandwidth", type=float, default=0, metavar="MB", help="per second")
    for name, parser in (("put", put), ("get", get), ("ls", listing)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(verb=name)


def _add_plugin_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the commands for authors of plug-ins."""
    key = _add(commands, "plugin-key", "make a key that signs packages of plug-ins", "plugin")
    key.add_argument("file", metavar="FILE", help="where to write the private key")
    pack = _add(commands, "plugin-pack", "make and sign the package of a plug-in", "plugin")
    pack.add_argument("directory", metavar="DIR", help="directory with manifest.yaml")
    pack.add_argument("--key", required=True, metavar="FILE", help="private key of plugin-key")
    pack.add_argument("--out", default=".", metavar="DIR", help="where to write it (here)")
    for name, parser in (("plugin-key", key), ("plugin-pack", pack)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(verb=name)


def _end(code: int) -> NoReturn:
    """End the process, also when a probe's thread hangs; only here, where it is ours to end."""
    pool = sys.modules.get("agent_client.probing.pool")  # other commands have not loaded it
    if pool is not None:
        pool.end_despite_hung_threads(code)
    sys.exit(code)


if __name__ == "__main__":
    _end(main())
