"""Keeps this host's set of probes equal to the server's, and on disk for the time without it.

Asks when the server names another revision and every minute; 304 costs nothing. A set is
on disk before it is used, so a restart without the server knows at least as much. The same
thread, asking elsewhere, keeps the set of plug-ins.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from agent_client.probing.channel import Channel
from agent_client.protocol.probes import ProbeSet, ProbeTask
from agent_client.state import write_durably
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint

logger = logging.getLogger(__name__)

PATH = "/api/v1/tasks/agent?agent_id="
REFRESH_SECONDS = 60.0


class StoredSet(msgspec.Struct, frozen=True):
    """The content of probes.json; since is when each probe became known, in UTC seconds."""

    revision: int = 0
    tasks: tuple[ProbeTask, ...] = ()
    since: dict[int, float] = {}


class ProbeFile:
    """The last known set on disk."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path
        self.stored = StoredSet()

    def load(self) -> StoredSet:
        """Return the stored set; an unreadable one is as good as none: the server has it."""
        try:
            self.stored = msgspec.json.decode(self._path.read_bytes(), type=StoredSet)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("%s cannot be read: %s", self._path.name, error)
        return self.stored

    def save(self, probes: ProbeSet, now: float) -> None:
        """Store a set durably; raises OSError."""
        since = {task.task_id: self.stored.since.get(task.task_id, now) for task in probes.tasks}
        self.stored = StoredSet(probes.revision, probes.tasks, since)
        write_durably(self._path, msgspec.json.encode(self.stored))


class Revised(Protocol):
    """A set of anything: the same revision always means the same content."""

    @property
    def revision(self) -> int:
        """Return which one it is."""


S = TypeVar("S", bound=Revised)


class SetSync(Generic[S]):
    """The thread that fetches sets of one kind."""

    def __init__(
        self,
        path: str,
        kind: type[S],
        *,
        what: str,
        backoff: Backoff,
        endpoint: Callable[[str], Endpoint],
        on_set: Callable[[S], None],
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """on_set gets every set that differs from the one before, on this thread.

        what names the content in the log, as in "probes".
        """
        self._path = path
        self._kind = kind
        self._what = what
        self._backoff = backoff
        self._endpoint = endpoint
        self._on_set = on_set
        self._refresh_seconds = refresh_seconds
        self._channel: Channel | None = None
        self._etag = ""
        self.revision = 0
        """Of the set in use, 0 before the first."""
        self._wanted = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; it asks at once."""
        self._wanted.set()
        self._thread = threading.Thread(target=self._run, name=f"{self._what}-sync", daemon=True)
        self._thread.start()

    def named(self, revision: int | None) -> None:
        """Note which revision the server has; safe in any thread. 0 and None say nothing."""
        if revision and revision != self.revision:
            self._wanted.set()

    def close(self) -> None:
        """End the thread; a request under way is left behind."""
        self._is_closing = True
        self._wanted.set()

    def _run(self) -> None:
        pause_seconds = 0.0
        while not self._is_closing:
            self._wanted.wait(self._refresh_seconds)
            self._wanted.clear()
            while not self._is_closing and (pause_seconds := self._fetch()):
                # What is named meanwhile is asked for anyway, but not sooner.
                self._pause(pause_seconds)

    def _pause(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def _fetch(self) -> float:
        """Ask once; return 0 when it is done, else the pause before the next try."""
        address = self._backoff.address
        if self._channel is None or self._channel.endpoint.server != address:
            self._channel = Channel(self._endpoint(address))
        headers = {"If-None-Match": self._etag} if self._etag else {}
        try:
            answer = self._channel.request("GET", self._path, headers=headers)
        except ConnectionFailed as error:
            logger.info("the %s cannot be fetched: %s", self._what, error.detail)
            return self._backoff.failed()
        if answer.status == 304:
            self._backoff.succeeded()
            return 0.0
        if answer.status != 200:
            logger.info("the server answered %d when asked for %s", answer.status, self._what)
            is_refused = answer.status in (401, 403)
            return self._backoff.refused() if is_refused else self._backoff.failed()
        return self._take(answer.body, answer.headers.get("etag", ""))

    def _take(self, body: bytes, etag: str) -> float:
        """Use a fetched set."""
        try:
            fetched = msgspec.json.decode(body, type=self._kind)
            self._on_set(fetched)
        except (msgspec.MsgspecError, OSError) as error:
            logger.warning("the fetched %s cannot be used: %s", self._what, error)
            return self._backoff.failed()
        self.revision, self._etag = fetched.revision, etag
        self._backoff.succeeded()
        return 0.0


class ProbeSync(SetSync[ProbeSet]):
    """The thread that fetches the probes."""

    def __init__(
        self,
        *,
        agent_id: str,
        backoff: Backoff,
        endpoint: Callable[[str], Endpoint],
        on_set: Callable[[ProbeSet], None],
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        """Ask for the probes of this agent."""
        super().__init__(
            PATH + quote(agent_id, safe=""),
            ProbeSet,
            what="probes",
            backoff=backoff,
            endpoint=endpoint,
            on_set=on_set,
            refresh_seconds=refresh_seconds,
        )
