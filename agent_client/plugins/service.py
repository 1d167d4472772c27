"""Puts the plug-ins together: what is wanted, the processes, the samples and their way.

All of it lives on threads of its own, with an event loop of its own: whatever plug-ins do,
heartbeats and tasks do not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from agent_client.config import AgentConfig
from agent_client.files.host import own_files
from agent_client.plugins.desired import PluginFile, make_sync
from agent_client.plugins.host import PluginHost
from agent_client.plugins.programs import HostPrograms
from agent_client.plugins.runner import USUAL_PACE
from agent_client.plugins.samples import SampleBuffer
from agent_client.plugins.uploader import BATCH_SECONDS, SampleUploader
from agent_client.policy import Policy
from agent_client.probing.channel import Channel
from agent_client.protocol.plugins import PluginSet, PluginState
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint

logger = logging.getLogger(__name__)

PACKAGES = "/api/v1/plugins/packages/"
STOP_SECONDS = 20.0
FLUSH_SECONDS = 3.0


class Plugins:
    """The plug-ins of this host; start and stop wait and belong into a thread."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        agent_id: str,
        endpoint: Callable[[str], Endpoint],
        make_backoff: Callable[[AgentConfig], Backoff],
        policy: Policy,
    ) -> None:
        """Name the parts; no thread runs before `start`."""
        self._policy = policy
        self._file = PluginFile(config.state_dir / "plugins.json")
        self._buffer = SampleBuffer()
        self._endpoint = endpoint
        self._downloads = make_backoff(config)
        self._programs = HostPrograms(
            config.state_dir,
            policy=lambda: self._policy,
            download=self._download,
            # As for transfers: the configuration may hold a credential, too.
            hidden=(config.state_dir, *own_files(config)),
        )
        self._host = PluginHost(
            programs=self._programs,
            on_sample=self._buffer.put,
            policy=policy,
            pace=USUAL_PACE,
        )
        self._sync = make_sync(
            agent_id, backoff=make_backoff(config), endpoint=endpoint, on_set=self._take
        )
        self._uploader = SampleUploader(
            self._buffer,
            backoff=make_backoff(config),
            endpoint=endpoint,
            batch_seconds=BATCH_SECONDS,
        )
        self._wanted = PluginSet(revision=0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Go on with the last known plug-ins and ask for newer ones."""
        self._wanted = self._file.load() or self._wanted
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="plugins", daemon=True
        )
        self._thread.start()
        # Before anything can name a revision: the loop must be there to be woken.
        started.wait()
        self._uploader.start()
        self._sync.start()

    def stop(self) -> None:
        """End every plug-in and send what they measured, as far as the server takes it."""
        if self._thread is None:
            return
        # First no new set, then no plug-ins, last what they measured.
        self._sync.close()
        self._is_closing = True
        self._wake()
        self._thread.join(STOP_SECONDS)
        self._uploader.close(FLUSH_SECONDS)
        self._thread = None

    def named(self, revision: int | None) -> None:
        """Note which revision of the plug-ins the server has."""
        if self._thread is not None:
            self._sync.named(revision)

    def limit(self, policy: Policy) -> None:
        """Keep to another policy from now on."""
        self._policy = policy
        self._wake()

    def states(self) -> tuple[PluginState, ...]:
        """Return how every wanted plug-in is, for the heartbeat."""
        return tuple(
            msgspec.structs.replace(state, dropped_samples=self._buffer.dropped(state.name))
            for state in self._host.states()
        )

    def _take(self, wanted: PluginSet) -> None:
        """Use a fetched set: on disk first. On the fetching thread."""
        # On the fetching thread: a slow disk must not hold the plug-ins up.
        self._file.save(wanted)
        self._wanted = wanted
        self._wake()

    def _wake(self) -> None:
        """Have the loop look at what is wanted; safe in any thread."""
        loop = self._loop
        # A thread may call during start or stop, when there is no loop to wake.
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._changed.set)

    def _run(self, started: threading.Event) -> None:
        """Be the thread; a defect in here costs the plug-ins and nothing else."""
        try:
            asyncio.run(self._live(started))
        except Exception:
            logger.exception("plug-ins do not run any more")

    async def _live(self, started: threading.Event) -> None:
        """Keep the host equal to what is wanted until the agent ends."""
        self._loop = asyncio.get_running_loop()
        self._changed.set()
        started.set()
        while not self._is_closing:
            await self._changed.wait()
            # Cleared before it is acted on: a change that comes meanwhile is another round.
            self._changed.clear()
            if not self._is_closing:
                await self._apply(self._wanted)
        await self._host.close()

    async def _apply(self, wanted: PluginSet) -> None:
        """Make the host what is wanted; a defect costs this round, not the plug-ins that run."""
        try:
            await self._host.apply(wanted.plugins, self._policy)
            if wanted.revision:  # else nobody has said yet what is wanted
                await self._programs.keep_only(one.name for one in wanted.plugins)
        except Exception:
            logger.exception("the plug-ins could not be made what is wanted")

    def _download(self, sha256: str) -> bytes:
        """Return the bytes of a package; raises ConnectionFailed."""
        # A connection for each: packages are rare, and requests of other threads must not mix in.
        channel = Channel(self._endpoint(self._downloads.address))
        try:
            answer = channel.request("GET", PACKAGES + quote(sha256, safe=""))
        except ConnectionFailed:
            self._downloads.failed()  # the other address gets its turn
            raise
        finally:
            channel.close()
        if answer.status != 200:
            raise ConnectionFailed(f"the server answered {answer.status} when asked for a package")
        return answer.body
