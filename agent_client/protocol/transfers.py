"""File transfers on the wire: what a task of a file kind is to move, and the chunks it moves.

A transfer has an object of its own on the server, opened by a token that serves this one
transfer of this one offer (`dpt_…`, never the agent's own). Content travels in chunks of
at most 4 MiB, each with its sha256; the receiver says where it stands, so that whoever
was interrupted goes on there. Pure data.
"""

from __future__ import annotations

from typing import Literal

from agent_client.protocol.part import Number, Part

TaskKind = Literal["script", "file_upload", "file_download", "file_preview"]
"""`file_upload` brings a file to the host, `file_download` fetches one from it,
`file_preview` shows the head and tail of a file or the entries of a directory."""

MAX_CHUNK_BYTES = 4 * 1024 * 1024
POLICY_DENIED_EXIT = 77
"""How a transfer ends that the host's policy forbids (EX_NOPERM of sysexits); else 1."""
CHUNK_DIGEST_HEADER = "X-Chunk-Sha256"


class Transfer(Part, frozen=True):
    """What one task of a file kind moves; sizes in bytes, bandwidth in MB/s (0: no limit).

    `path` is absolute on the host. `sha256` and `size_bytes` are known for an upload.
    `archive` unpacks what was sent into the directory `path`, or packs that directory.
    `mode` (octal permission bits) and `owner` ("user" or "user:group") are kept when given.
    `head_bytes` and `tail_bytes` bound a preview.
    """

    id: str
    token: str
    path: str
    size_bytes: Number | None = None
    sha256: str = ""
    archive: bool = False
    overwrite: bool = False
    mode: int | None = None
    owner: str = ""
    bandwidth_mb: float = 0.0
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
