"""`put`, `get` and `ls`: files of hosts, as tasks of the queue.

A host is named by its name or its id. `put` prints the ids of its tasks and does not wait
unless asked; `get` and `ls` wait for what they print. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agent_client.commands.api import ApiError, Client
from agent_client.commands.logs import exit_code_of, follow
from agent_client.commands.session import plain, print_json, table, with_client
from agent_client.commands.task import explain
from agent_client.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from agent_client.commands.preserving import Source


def run(options: argparse.Namespace) -> int:
    """Run the verb of the options; returns its exit code."""
    verb = _VERBS[options.verb]
    return with_client(lambda client: verb(client, _checked(options)))


def _checked(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options when they go together; raises ConfigError."""
    if options.verb != "ls" and options.preserve and options.archive:
        problem, remedy = "does not go with --archive", "An archive keeps what is executable."
        raise _wrong("--preserve", problem, remedy)
    return options


# --- put ---------------------------------------------------------------------------


def _put(client: Client, options: argparse.Namespace) -> int:
    agent_id, path = _destination(client, options)
    tasks: list[dict[str, Any]] = []
    for local in map(Path, options.local):
        file_id = _store(client, local, options)
        target = _path_on_host(path, local, has_many=len(options.local) > 1)
        file = {"id": file_id, "path": target, **_rights(local, options)}
        tasks += _submit_upload(client, options, agent_id, file)
    if options.wait:
        tasks = [_follow(client, task) for task in tasks]
    if options.json:
        print_json(tasks)
    elif not options.wait:
        print("\n".join(str(task["id"]) for task in tasks))
    return _worst(tasks) if options.wait else ExitCode.OK


def _destination(client: Client, options: argparse.Namespace) -> tuple[str, str]:
    """Return the host, "" for those with the labels, and the path; raises ConfigError."""
    if not options.labels:
        return _host_and_path(client, options.remote)
    if not options.remote.startswith("/"):
        raise _wrong(options.remote, "is no full path; --labels name the hosts", "Write /path.")
    return "", options.remote


def _store(client: Client, local: Path, options: argparse.Namespace) -> str:
    """Bring a file, or a directory as an archive, to the server and return its id."""
    from agent_client.commands.file_store import store_file

    try:
        if not local.is_dir():
            return store_file(client, local, local.name)
        if not options.archive:
            raise _wrong(str(local), "is a directory", "Send it with --archive.")
        with _packed(local) as archive:
            return store_file(client, archive, f"{local.resolve().name}.tar")
    except OSError as error:
        raise _wrong(str(local), error.strerror or "cannot be read", "Name a file.") from None


@contextmanager
def _packed(directory: Path) -> Iterator[Path]:
    """Yield an archive of the plain files and directories below a directory."""
    with tempfile.TemporaryDirectory(prefix="dialer-put-") as work:
        archive = Path(work) / "content.tar"
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(directory.rglob("*")):
                # The host unpacks nothing else, and would refuse the whole archive for it.
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    print(f"left out: {plain(path)}", file=sys.stderr)
                    continue
                info = tar.gettarinfo(path, str(path.relative_to(directory)))
                if info.isdir():
                    tar.addfile(info)
                    continue
                # Two names of one file would become a link in the archive.
                info.type, info.linkname = tarfile.REGTYPE, ""
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(info, file)
        yield archive


def _path_on_host(path: str, local: Path, *, has_many: bool) -> str:
    """Return the path of one file; below a directory it keeps its name."""
    if has_many or path.endswith("/"):
        return str(PurePosixPath(path) / local.resolve().name)
    return path


def _submit_upload(
    client: Client, options: argparse.Namespace, agent_id: str, file: dict[str, Any]
) -> list[dict[str, Any]]:
    """Submit the upload for one host or for all with the labels; returns the tasks."""
    file = {**file, **_options(options)}
    body: dict[str, Any] = {"kind": "file_upload", "file": file}
    key = str(uuid.uuid4())
    if agent_id:
        return [client.post("tasks/", {**body, "agent_id": agent_id}, idempotency_key=key)]
    from agent_client.commands.submit import pairs

    body["labels"] = pairs(options.labels, "--labels")
    made: list[dict[str, Any]] = client.post("tasks/fan_out/", body, idempotency_key=key)
    return made


def _rights(local: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return mode and owner that a file is to have there: as said, else those of its source."""
    from agent_client.commands.preserving import Source, of_local

    source = of_local(local) if options.preserve else Source()
    return {"mode": options.mode or source.mode or None, "owner": options.owner or source.owner}


def _options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `put` and `get` have in common."""
    found = {"archive": options.archive, "bandwidth_mb": options.bandwidth}
    return {**found, "overwrite": options.overwrite} if options.verb == "put" else found


# --- get ---------------------------------------------------------------------------


def _get(client: Client, options: argparse.Namespace) -> int:
    from agent_client.commands.file_store import fetch_file, taken

    agent_id, path = _host_and_path(client, options.remote)
    name = PurePosixPath(path).name + (".tar" if options.archive else "")
    local = Path(options.local)
    target = local / name if local.is_dir() else local
    if target.exists() and not options.overwrite:
        raise taken(target)
    source = _source(client, agent_id, path) if options.preserve else None
    body = {"kind": "file_download", "file": {"path": path, **_options(options)}}
    task = _run(client, {**body, "agent_id": agent_id}, log=sys.stderr.buffer)
    if task["status"] == "completed":
        try:
            fetch_file(client, task["file"], target, overwrite=options.overwrite, source=source)
        except OSError as error:
            raise _wrong(str(target), error.strerror or str(error), "Name a place.") from None
    if options.json:
        print_json(task)
    elif task["status"] == "completed":
        print(plain(target))
    return _worst([task])


def _source(client: Client, agent_id: str, path: str) -> Source:
    """Return permissions and owner of a file of the host; raises Rejected."""
    from agent_client.commands.preserving import of_preview

    file = {"path": path, "head_bytes": 0}
    body = {"kind": "file_preview", "agent_id": agent_id, "file": file}
    return of_preview((_run(client, body, log=sys.stderr.buffer).get("file") or {}).get("preview"))


# --- ls ----------------------------------------------------------------------------


def _list(client: Client, options: argparse.Namespace) -> int:
    agent_id, path = _host_and_path(client, options.remote)
    body = {"kind": "file_preview", "agent_id": agent_id, "file": {"path": path}}
    log = io.BytesIO()
    task = _run(client, body, log=log)
    preview = (task.get("file") or {}).get("preview")
    if task["status"] != "completed" or not preview:
        print(plain(log.getvalue().decode("utf-8", "replace").strip()), file=sys.stderr)
        return _worst([task]) or ExitCode.INTERNAL
    if options.json:
        print_json(preview)
    else:
        print(_shown(preview))
    return ExitCode.OK


def _shown(preview: dict[str, Any]) -> str:
    """Return a directory's entries as a table, or a file's head as it is."""
    if preview["type"] == "file":
        binary = f"{preview['size_bytes']} bytes, no text"
        lines = str(preview["head"]).split("\n")
        return binary if preview["is_binary"] else "\n".join(plain(line) for line in lines)
    marks = {"directory": "/", "link": "@"}
    rows = [
        [one["mode"], one["owner"], one["size_bytes"], one["name"] + marks.get(one["type"], "")]
        for one in ({"mode": "", "owner": "", **entry} for entry in preview["entries"])
    ]
    text = table(["MODE", "OWNER", "BYTES", "NAME"], rows)
    return text + ("\n(there are more)" if preview["truncated"] else "")


# --- both --------------------------------------------------------------------------


def _host_and_path(client: Client, remote: str) -> tuple[str, str]:
    """Return the id of the host and the path on it; raises ConfigError."""
    name, colon, path = remote.partition(":")
    if not colon or not name or not path:
        raise _wrong(remote, "names no host and path", "Write AGENT:/path.")
    return _agent_id(client, name), path


def _agent_id(client: Client, name: str) -> str:
    """Return the id of the host with this name or id; raises ConfigError."""
    found = client.get("agents/", name=name, page_size=200)["results"]
    exact = [one["id"] for one in found if one["name"] == name]
    if len(exact) == 1:
        return str(exact[0])
    if exact:
        raise _wrong(name, "is the name of several hosts", f"Use an id: {', '.join(exact)}.")
    try:
        return str(client.get(f"agents/{quote(name, safe='')}/")["id"])
    except ApiError as error:
        if error.status != 404:
            raise
        raise _wrong(name, "is no host", "Write its name or id as on the agents page.") from None


def _run(client: Client, body: dict[str, Any], *, log: Any) -> dict[str, Any]:
    """Submit a task and return it when it is final; its log goes to `log` meanwhile."""
    task = client.post("tasks/", body, idempotency_key=str(uuid.uuid4()))
    return _follow(client, task, log=log)


def _follow(client: Client, task: dict[str, Any], *, log: Any = None) -> dict[str, Any]:
    """Return the task when it is final; says why when it did not complete."""
    try:
        final = follow(client, task["id"], sys.stderr.buffer if log is None else log)
    except KeyboardInterrupt:
        print(f"task {task['id']} goes on; cancel {task['id']} ends it", file=sys.stderr)
        raise
    if final.get("status") != "completed":
        print(f"task {task['id']} {plain(explain(final))}", file=sys.stderr)
    return final


def _worst(tasks: list[dict[str, Any]]) -> int:
    """Return 0 when all tasks completed, else the exit code of the first that did not."""
    return next((exit_code_of(one) for one in tasks if one["status"] != "completed"), 0)


def _wrong(what: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError(what, "command line", problem, remedy)


_VERBS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "put": _put,
    "get": _get,
    "ls": _list,
}
