"""Files between this machine and the server: sent in chunks, fetched in ranges, both resumed.

What was interrupted goes on where the server or the local `.part` file stands, also when the
command is started again. A file is seen under its local name only when it is whole and its
digest is right.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from agent_client.commands.api import ApiError, Client
from agent_client.commands.preserving import Source, apply
from agent_client.errors import Rejected, Retryable
from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER, MAX_CHUNK_BYTES

T = TypeVar("T")
TRIES = 8
"""In a row, with growing pauses: about a minute; what has arrived is kept anyway."""
FIRST_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 15.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


def store_file(
    client: Client, path: Path, name: str, *, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Bring a file to the server and return its id; raises Rejected, Retryable or OSError."""
    with path.open("rb") as file:
        size, sha256 = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256")
        facts = {"name": name, "size_bytes": size, "sha256": sha256.hexdigest()}
        made = _unfinished(client, facts) or client.post("files/", facts)
        file_id = str(made["id"])
        offset = int(made["next"])
        while offset < size:
            offset = _send_chunk(client, file_id, file, offset, sleep)
    return file_id


def _unfinished(client: Client, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return one's own file on the server that an interrupted `put` of this content left."""
    query = {**facts, "complete": "false", "mine": "true", "page_size": 1}
    found: list[dict[str, Any]] = client.get("files/", **query)["results"]
    # A server that knows no such filter answers with any file.
    wanted = {**facts, "complete": False}
    return next((one for one in found if wanted.items() <= one.items()), None)


def fetch_file(
    client: Client,
    facts: dict[str, Any],
    target: Path,
    *,
    overwrite: bool,
    source: Source | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Bring a whole file of the server under a local name; raises Rejected or Retryable.

    source is what the file is to have of its source before it is seen.
    """
    size, sha256 = int(facts["size_bytes"]), str(facts["sha256"])
    if not _DIGEST.fullmatch(sha256):
        raise Rejected("The server's answer is none of ours.", code="server_answer_invalid")
    part = target.with_name(f".{target.name[:80]}.{sha256[:16]}.part")
    with part.open("a+b") as file:
        digest, offset = _digest_of(file)
        while offset < size:
            data = _fetch_range(client, str(facts["id"]), offset, size, sleep)
            file.write(data)
            digest.update(data)
            offset += len(data)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256:
        part.unlink()
        raise Rejected(f"What arrived for {target} is not what was sent.", code="digest_mismatch")
    if source is not None:
        apply(source, part)
    _place(part, target, overwrite=overwrite)


def _place(part: Path, target: Path, *, overwrite: bool) -> None:
    """Let a whole file appear under its name."""
    if overwrite:
        part.replace(target)
        return
    try:
        # A link does not replace what appeared there meanwhile.
        os.link(part, target)
    except FileExistsError:
        raise taken(target) from None
    part.unlink()


def taken(target: Path) -> Rejected:
    """Return the refusal to replace a local file without being asked to."""
    return Rejected(f"{target} exists already; --overwrite replaces it.", code="file_exists")


def _send_chunk(
    client: Client, file_id: str, file: BinaryIO, offset: int, sleep: Callable[[float], None]
) -> int:
    """Send one chunk and return the offset that the server wants next."""
    file.seek(offset)
    data = file.read(MAX_CHUNK_BYTES)
    if not data:
        raise Rejected("The file became shorter while it was sent.", code="file_changed")
    headers = {CHUNK_DIGEST_HEADER: hashlib.sha256(data).hexdigest()}
    path = f"files/{file_id}/content/"

    def put() -> int:
        query = {"offset": offset}
        reply = client.fetch("PUT", path, query=query, body=data, headers=headers)
        return int(reply.json()["next"])

    try:
        return _patiently(put, sleep)
    except ApiError as error:
        if error.api_code != "offset_gap":
            raise
        # The server has lost something, say in a power cut: it says where it stands.
        return int(client.get(f"files/{file_id}/")["next"])


def _fetch_range(
    client: Client, file_id: str, offset: int, size: int, sleep: Callable[[float], None]
) -> bytes:
    """Return the bytes from an offset, at most one chunk of them."""
    end = min(offset + MAX_CHUNK_BYTES, size)
    headers = {"Range": f"bytes={offset}-{end - 1}", "Accept": "*/*"}
    path = f"files/{file_id}/content/"
    data = _patiently(lambda: client.fetch("GET", path, headers=headers).body, sleep)
    if len(data) != end - offset:
        raise Rejected("The server's answer is none of ours.", code="server_answer_invalid")
    return data


def _digest_of(file: BinaryIO) -> tuple[hashlib._Hash, int]:
    """Return the digest and the size of what has arrived before."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # wants readinto
    return digest, file.tell()


def _patiently(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Ask until the server answers, for about a minute."""
    pause = FIRST_PAUSE_SECONDS
    for _ in range(TRIES - 1):
        try:
            return ask()
        except (Retryable, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                raise
        sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
    return ask()
