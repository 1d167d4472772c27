"""How plug-ins are started on this host: built-in ones, and those of signed packages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from agent_client.errors import Rejected
from agent_client.plugins import builtin
from agent_client.plugins.host import is_builtin
from agent_client.plugins.program import Program, Programs
from agent_client.plugins.signing import refused
from agent_client.plugins.store import PackageStore
from agent_client.policy import Policy
from agent_client.protocol.plugins import PluginWanted

_BUILTIN = (
    sys.executable,
    "-I",
    "-X",
    "utf8",
    str(Path(builtin.__file__).with_name("__main__.py")),
)
_PYTHON = (sys.executable, "-E", "-s", "-B", "-X", "utf8")
"""For plug-ins of packages: their own directory is looked into first, nothing of the user's."""


class HostPrograms(Programs):
    """The programs of this host, below one directory of the agent's state."""

    def __init__(
        self,
        state_dir: Path,
        policy: Callable[[], Policy],
        download: Callable[[str], bytes],
        *,
        hidden: Iterable[Path],
    ) -> None:
        """Name the agent's state directory; policy is asked at every start.

        hidden are files and directories that no plug-in may read: they hold credentials.
        """
        self._hidden = tuple(str(one) for one in hidden)
        self._root = state_dir / "plugins"
        self._policy = policy
        self._store = PackageStore(self._root, download=download)
        # Checking and unpacking need memory for the whole package: one after the other.
        self._busy = asyncio.Lock()

    async def prepare(self, wanted: PluginWanted) -> Program:
        """Return how to start a plug-in; installs its package first."""
        if wanted.package is not None:
            async with self._busy:
                return await asyncio.to_thread(self._installed, wanted)
        if not is_builtin(wanted):
            raise Rejected(f"{wanted.name} is no built-in plug-in.", code="plugin_unknown")
        return self._program(wanted.name, (*_BUILTIN, wanted.name))

    async def worked(self, wanted: PluginWanted, program: Program) -> None:
        """Keep a new version that has run."""
        if program.package is not None:
            await asyncio.to_thread(self._store.worked, wanted.name, program.package)

    async def failed(self, wanted: PluginWanted, program: Program, detail: str) -> None:
        """Remember why a new version does not run."""
        if program.package is not None:
            await asyncio.to_thread(self._store.failed, wanted.name, program.package, detail)

    async def keep_only(self, names: Iterable[str]) -> None:
        """Remove what belongs to plug-ins that are wanted no more."""
        await asyncio.to_thread(self._store.keep_only, tuple(names))

    def _installed(self, wanted: PluginWanted) -> Program:
        """Return the program of a package; in a thread."""
        # Asked at every start: the owner may have changed it since the last one.
        policy = self._policy()
        policy.check_install()
        # "*" in the policy allows the built-in names; a package must not slip in under one.
        if wanted.name in builtin.MODULES:
            raise refused(f"{wanted.name} is built in: no package can take its place")
        assert wanted.package is not None  # noqa: S101 (the caller has looked)
        found = self._store.provide(wanted.name, wanted.package, policy.plugins.keys)
        # Counted before it runs: a version that takes the agent down counts as well.
        self._store.tried(wanted.name, found.package)
        entry = str(found.directory / found.manifest.entry)
        argv = (*_PYTHON, entry) if entry.endswith(".py") else (entry,)
        program = self._program(wanted.name, argv)
        return program._replace(package=found.package, note=found.note)

    def _program(self, name: str, argv: tuple[str, ...]) -> Program:
        # Beside the versions, so that a new version finds what the former one remembered.
        own = self._root / name / "state"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Program(
            argv=argv,
            directory=own,
            state_directory=own,
            directories=tuple(str(root) for root in self._policy().roots()),
            hidden=self._hidden,
        )
