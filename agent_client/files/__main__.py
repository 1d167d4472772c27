"""`python -m agent_client.files DESCRIPTOR`: move one file as the order behind it says.

Prints what happens, which is the task's log, and ends with 0 when all was moved and with 1
after one line that names the error and what to do about it; with 77 when that is the policy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from agent_client.errors import AgentError, Rejected
from agent_client.files import packing, unpacking
from agent_client.files.bandwidth import Pace
from agent_client.files.order import FilesOrder, read_order
from agent_client.files.preview import preview
from agent_client.files.progress import Progress
from agent_client.files.receiving import Target, receive
from agent_client.files.roots import Roots, open_plain, unusable
from agent_client.files.sending import send, send_bytes
from agent_client.files.server import TransferServer
from agent_client.protocol.transfers import POLICY_DENIED_EXIT
from agent_client.transport.trust import Trust


class Mover:
    """One transfer with everything it needs."""

    def __init__(self, order: FilesOrder, progress: Progress) -> None:
        """Nothing is connected yet."""
        self._transfer = order.transfer
        self._roots = Roots(order.roots, hidden=order.hidden)
        self._pace = Pace(order.transfer.bandwidth_mb, limits=order.limits)
        self._progress = progress
        self._server = TransferServer(
            order.servers,
            transfer_id=order.transfer.id,
            token=order.transfer.token,
            trust=Trust(Path(order.ca_file) if order.ca_file else None, order.fingerprint),
            say=progress.say,
        )

    def upload(self) -> None:
        """Bring the file, or what is in the archive, to this host."""
        transfer = self._transfer
        if transfer.path.endswith("/") and not transfer.archive:
            raise unusable(transfer.path, "is a directory; add the name the file is to have")
        if transfer.archive:
            self._roots.check_replaceable(transfer.path)
        take = unpacking.receive_archive if transfer.archive else receive
        with self._roots.parent(transfer.path, create=True) as (directory, name):
            take(
                Target(directory, name, transfer.path),
                transfer,
                server=self._server,
                pace=self._pace,
                progress=self._progress,
            )

    def download(self) -> None:
        """Fetch the file, or the directory as an archive, from this host."""
        descriptor = self._archive() if self._transfer.archive else self._plain()
        try:
            send(
                descriptor,
                self._transfer.path,
                server=self._server,
                pace=self._pace,
                progress=self._progress,
            )
        finally:
            os.close(descriptor)

    def preview(self) -> None:
        """Show the head and tail of the file, or the entries of the directory."""
        send_bytes(preview(self._roots, self._transfer), server=self._server)
        self._progress.say(f"{self._transfer.path}: shown")

    def _plain(self) -> int:
        """Return the open file."""
        path = self._transfer.path
        with self._roots.parent(path) as (directory, name):
            return open_plain(directory, name, path)

    def _archive(self) -> int:
        """Return an open archive of the directory, which has no name."""
        path = self._transfer.path
        with self._roots.directory(path) as directory:
            return packing.pack(
                directory, path, is_hidden=self._roots.is_hidden, say=self._progress.say
            )


def main(arguments: list[str]) -> int:
    """Move the file; returns the exit code."""
    progress = Progress()
    try:
        order = read_order(int(arguments[0]))
        mover = Mover(order, progress)
        steps = {
            "file_upload": mover.upload,
            "file_download": mover.download,
            "file_preview": mover.preview,
        }
        if order.kind not in steps:
            raise Rejected(f"{order.kind} is no kind of transfer.", code="offer_invalid")
        steps[order.kind]()
    except AgentError as error:
        progress.say(f"{error.code}: {error.detail} {error.remedy}")
        if error.code == "policy_denied":
            return POLICY_DENIED_EXIT
    except (OSError, msgspec.MsgspecError, ValueError, IndexError) as error:
        text = getattr(error, "strerror", "") or str(error)
        name = getattr(error, "filename", None)
        progress.say(f"failed: {f'{name}: ' if name else ''}{text}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
