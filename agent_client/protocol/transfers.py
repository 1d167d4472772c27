"""File transfers on the wire: what a task of a file kind is to move, and the chunks it moves.

A transfer has an object of its own on the server, opened by a token that serves this one
transfer of this one offer (`dpt_…`, never the agent's own). Content travels in chunks of
at most 4 MiB, each with its sha256; the receiver says where it stands, so that whoever
was interrupted goes on there. Pure data.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent_client.protocol.part import Number, Part

TaskKind = Literal["script", "file_upload", "file_download", "file_preview"]
"""`file_upload` brings a file to the host, `file_download` fetches one from it,
`file_preview` shows the head and tail of a file or the entries of a directory."""

MAX_CHUNK_BYTES = 4 * 1024 * 1024
POLICY_DENIED_EXIT = 77
"""How a transfer ends that the host's policy forbids (EX_NOPERM of sysexits); else 1."""
CHUNK_DIGEST_HEADER = "X-Chunk-Sha256"
TRANSFER_SLOTS = 2
"""Tasks of file kinds at once on a host, beside its slots: they book nothing, and a look at a
file must not wait for hours of scripts. Server and agent count alike, so that no offer is
refused."""
MAX_BANDWIDTH_MB = 100_000.0

TransferId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8,32}\Z")]
ContentDigest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""A SHA-256 in hex, "" where it is not known. Both become parts of file names on the host, so
a server must not be able to write anything else into them."""
Bandwidth = Annotated[float, msgspec.Meta(ge=0, le=MAX_BANDWIDTH_MB)]
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o7777)]


def transfer_slots(slots: int) -> int:
    """Return how many tasks of file kinds a host takes at once; none where it takes no tasks."""
    return TRANSFER_SLOTS if slots > 0 else 0


class Transfer(Part, frozen=True):
    """What one task of a file kind moves; sizes in bytes, bandwidth in MB/s (0: no limit).

    `path` is absolute on the host. `sha256` and `size_bytes` are known for an upload.
    `archive` unpacks what was sent into the directory `path`, or packs that directory.
    `mode` (octal permission bits) and `owner` ("user" or "user:group") are kept when given.
    `head_bytes` and `tail_bytes` bound a preview.
    """

    id: TransferId
    token: str
    path: str
    size_bytes: Number | None = None
    sha256: ContentDigest = ""
    archive: bool = False
    overwrite: bool = False
    mode: Mode | None = None
    owner: str = ""
    bandwidth_mb: Bandwidth = 0.0
    head_bytes: Number = 64 * 1024
    tail_bytes: Number = 0


class TransferState(Part, frozen=True, omit_defaults=False):
    """Where the server's side of a transfer stands: the offset at which it goes on."""

    next: Number
    size_bytes: Number | None = None
    sha256: str = ""
    complete: bool = False


class TransferEnd(Part, frozen=True, omit_defaults=False):
    """The sender has sent everything: what the whole must come to."""

    size_bytes: Number
    sha256: str
