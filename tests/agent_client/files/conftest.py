"""One transfer with a server of its own and one allowed directory."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent_client.files.bandwidth import Pace
from agent_client.files.progress import Progress
from agent_client.files.receiving import Target, receive
from agent_client.files.server import TransferServer
from agent_client.files.unpacking import receive_archive
from agent_client.protocol.transfers import Transfer
from agent_client.transport.trust import Trust
from tests.agent_client.files.transfer_server import TOKEN, FakeTransfers

TRANSFER_ID = "0123456789abcdef"


@dataclass
class Move:
    """What a transfer works with; `waits` are the pauses it made."""

    directory: Path
    fake: FakeTransfers
    waits: list[float] = field(default_factory=list)
    said: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.progress = Progress(self.said)
        self.server = self.server_with(TOKEN)
        self.pace = Pace(0.0, limits=None)

    def server_with(self, token: str) -> TransferServer:
        return TransferServer(
            (self.fake.url,),
            transfer_id=TRANSFER_ID,
            token=token,
            trust=Trust(),
            say=self.progress.say,
            sleep=self.waits.append,
        )

    def transfer(self, name: str = "file", **fields: object) -> Transfer:
        content = bytes(self.fake.content)
        known = {
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **fields,
        }
        return Transfer(id=TRANSFER_ID, token=TOKEN, path=str(self.directory / name), **known)

    def receive(self, name: str = "file", **fields: object) -> None:
        self._take(receive, name, fields)

    def unpack(self, name: str = "tree", **fields: object) -> None:
        self._take(receive_archive, name, fields)

    def _take(self, take: Callable[..., None], name: str, fields: dict[str, object]) -> None:
        transfer = self.transfer(name, **fields)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            take(
                Target(directory, name, transfer.path),
                transfer,
                server=self.server,
                pace=self.pace,
                progress=self.progress,
            )
        finally:
            os.close(directory)

    def names(self) -> list[str]:
        return sorted(one.name for one in self.directory.iterdir())


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    (tmp_path / "root").mkdir()
    fake = FakeTransfers()
    found = Move(tmp_path / "root", fake)
    yield found
    found.server.close()
    fake.close()
