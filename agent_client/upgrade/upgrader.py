"""Brings this host to the release that the server wants: fetch, check, build, try.

Runs one change at a time, the slow steps in a thread. Promises that a wheel is used only
with the exact size and digest that was named, that the running version stays untouched
until the new one has started once, and that an order that failed is not tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections.abc import Callable
from http import HTTPStatus

from agent_client.catalogue import announce
from agent_client.errors import Rejected, Retryable
from agent_client.policy import Policy
from agent_client.probing.channel import Channel
from agent_client.protocol.releases import ReleaseState, WantedRelease, wheel_name
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint
from agent_client.upgrade import versions
from agent_client.upgrade.installation import Installation

logger = logging.getLogger(__name__)

MAX_WHEEL_BYTES = 32 * 1024 * 1024
FREE_BYTES = 256 * 1024 * 1024
"""What a version with its libraries needs, twice."""
FETCHES = 5


class Upgrader:
    """Changes the version of this host when the server's word and the host's policy agree."""

    def __init__(
        self,
        installation: Installation | None,
        *,
        endpoint: Callable[[str], Endpoint],
        backoff: Backoff,
        policy: Callable[[], Policy],
        on_restart: Callable[[], None],
        on_failure: Callable[[], None],
    ) -> None:
        """on_restart is called when another version is current, on_failure to tell the server."""
        self._installation = installation
        self._endpoint = endpoint
        self._policy = policy
        self._on_restart = on_restart
        self._on_failure = on_failure
        self._backoff = backoff
        self._job: asyncio.Task[None] | None = None
        self._last_order = -1

    def state(self) -> ReleaseState | None:
        """Return what hello says, None for an agent that was not installed in versions."""
        if self._installation is None:
            return None
        return self._installation.state(can_change=self._policy().allows_upgrades)

    @property
    def is_busy(self) -> bool:
        """Return whether a version is being prepared or old ones are removed."""
        return self._job is not None and not self._job.done()

    def welcomed(self) -> None:
        """Note that the server talks to this version: its trial is over, old ones may go."""
        installation = self._installation
        if installation is None or not installation.confirm():
            return
        announce(logger, "upgrade_kept", folder=installation.folder.name)
        self._job = asyncio.ensure_future(self._prune(installation))

    def wanted(self, release: WantedRelease | None) -> None:
        """Begin the change to a release, unless it runs, failed or is under way."""
        installation = self._installation
        if release is None or installation is None or release.order == self._last_order:
            return
        failed = installation.failure()
        if release.sha256 == installation.sha256 or (failed and failed.order == release.order):
            return
        if self.is_busy:
            return
        self._last_order = release.order
        self._job = asyncio.ensure_future(self._change(installation, release))

    async def stop(self) -> None:
        """Begin nothing more; a step under way ends by itself and changes nothing."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    async def _prune(self, installation: Installation) -> None:
        """Remove old versions; thousands of files, so not on the loop."""
        for name in await asyncio.to_thread(installation.prune):
            announce(logger, "version_removed", name=name)

    async def _change(self, installation: Installation, release: WantedRelease) -> None:
        """Prepare a version and hand over to it; what goes wrong is told to the server."""
        announce(logger, "upgrade_begun", version=release.version)
        try:
            self._policy().check_upgrades()
            await self._prepare(installation, release)
            await asyncio.to_thread(installation.open_trial, release)
        except Rejected as error:
            self._fail(installation, release, error)
        except OSError as error:
            detail = f"{error.filename or installation.home}: {error.strerror or error}"
            self._fail(installation, release, Rejected(detail, code="upgrade_not_built"))
        else:
            self._on_restart()

    def _fail(self, installation: Installation, release: WantedRelease, error: Rejected) -> None:
        announce(
            logger, "upgrade_failed", version=release.version, code=error.code, detail=error.detail
        )
        installation.record(release, code=error.code, detail=error.detail)
        self._on_failure()

    async def _prepare(self, installation: Installation, release: WantedRelease) -> None:
        """See that the version lies there, built and able to start; raises Rejected, OSError."""
        folder = versions.folder_of(installation.home, release.version, release.sha256)
        if not versions.is_complete(folder):
            wheel = await self._fetch(release)
            await asyncio.to_thread(_build, installation, release, wheel)
        await asyncio.to_thread(_check_start, installation, release)
        # The launcher is older than this version and may not know trials yet.
        await asyncio.to_thread(versions.write_programs, installation.home)

    async def _fetch(self, release: WantedRelease) -> bytes:
        """Return the wheel with exactly the named bytes; raises Rejected."""
        for attempt in range(1, FETCHES + 1):
            try:
                endpoint = self._endpoint(self._backoff.address)
                return await asyncio.to_thread(fetch, endpoint, release)
            except Retryable as error:
                if attempt == FETCHES:
                    raise Rejected(error.detail, code="upgrade_not_fetched") from error
                await asyncio.sleep(self._backoff.failed())
        raise AssertionError("the last attempt returns or raises")


def fetch(endpoint: Endpoint, release: WantedRelease) -> bytes:
    """Return a release's wheel from the server; raises Rejected, Retryable."""
    if release.size_bytes > MAX_WHEEL_BYTES:
        raise Rejected(f"{release.size_bytes} bytes are announced.", code="upgrade_not_genuine")
    channel = Channel(endpoint)
    try:
        answer = channel.request("GET", f"/agent/{wheel_name(release.version)}")
    finally:
        channel.close()
    if answer.status == HTTPStatus.NOT_FOUND:
        raise Rejected("The server does not offer it any more.", code="upgrade_not_fetched")
    if answer.status != HTTPStatus.OK:
        raise ConnectionFailed(f"the server answered HTTP {answer.status}")
    found = hashlib.sha256(answer.body).hexdigest()
    if len(answer.body) != release.size_bytes or found != release.sha256:
        detail = f"{len(answer.body)} bytes with the digest {found} came."
        raise Rejected(detail, code="upgrade_not_genuine")
    return answer.body


def _build(installation: Installation, release: WantedRelease, wheel: bytes) -> None:
    """Make the folder of a version; raises Rejected."""
    if shutil.disk_usage(installation.home).free < FREE_BYTES:
        detail = f"Less than {FREE_BYTES // 2**20} MiB are free in {installation.home}."
        raise Rejected(detail, code="upgrade_not_built")
    folder = versions.folder_of(installation.home, release.version, release.sha256)
    try:
        versions.build_version(folder, wheel, wheel_name(release.version), release.sha256)
    except versions.CannotInstall as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Rejected(str(error), code="upgrade_not_built") from error


def _check_start(installation: Installation, release: WantedRelease) -> None:
    """Start the version beside the running one, and have it read this host's settings."""
    folder = versions.folder_of(installation.home, release.version, release.sha256)
    program = [str(folder / "bin/python"), "-m", "agent_client"]
    try:
        said = versions.run([*program, "--version"])
        versions.run([*program, "check-config"])
    except versions.CannotInstall as error:
        raise Rejected(str(error), code="upgrade_not_built") from error
    if said.strip() != release.version:
        detail = f"It says that it is version {said.strip()[:40]!r}."
        raise Rejected(detail, code="upgrade_not_genuine")
