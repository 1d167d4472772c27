"""What a runner is told of how a plug-in is started, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from agent_client.protocol.plugins import PluginPackage, PluginWanted


class Program(NamedTuple):
    """How to start a plug-in, and what the host lets it read."""

    argv: tuple[str, ...]
    directory: Path
    state_directory: Path
    directories: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    package: PluginPackage | None = None
    note: str = ""
    """What a person should know although the plug-in runs."""


class Programs:
    """What knows how to start plug-ins; `prepare` may install one before."""

    async def prepare(self, wanted: PluginWanted) -> Program:
        """Return the program; raises Rejected when the host does not allow it."""
        raise NotImplementedError

    async def worked(self, wanted: PluginWanted, program: Program) -> None:
        """Note that the plug-in runs."""

    async def failed(self, wanted: PluginWanted, program: Program, detail: str) -> None:
        """Note that the plug-in did not come up."""

    async def keep_only(self, names: Iterable[str]) -> None:
        """Forget the plug-ins of all other names."""
