"""A PostgreSQL and a Redis of a test's own, which it may kill."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import redis

from tests.e2e.stack import free_port, wait_for
from tests.services import missing

CONNECTED_SECONDS = 60
"""A server that was without its database for long looks for it less and less often."""


class OwnPostgres:
    """One cluster in a temporary directory; root runs it as `postgres`, which it insists on."""

    def __init__(self, directory: Path) -> None:
        """Create the cluster; nothing runs yet."""
        self._bin = _postgres_programs()
        self._directory = directory
        self._port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(directory, self._user)
        self._run("initdb", "-D", str(directory / "data"), "-U", "postgres", "-A", "trust", "-N")

    @property
    def url(self) -> str:
        """Return the address as DATABASE_URL takes it."""
        return f"postgres://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers; fsync stays on, for that is what we test."""
        self._server = subprocess.Popen(
            [
                *(str(self._bin / "postgres"), "-D", str(self._directory / "data")),
                *("-p", str(self._port), "-h", "127.0.0.1", "-k", str(self._directory)),
                *("-c", "max_connections=60", "-c", "shared_buffers=32MB"),
            ],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=(self._directory / "postgres.out").open("ab"),
            start_new_session=True,
        )
        wait_for(self._answers, seconds=60)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep every process of the server stopped: connections stay open, nothing is answered."""
        assert self._server is not None and self._server.poll() is None
        server = psutil.Process(self._server.pid)
        server.suspend()  # First, so that it starts no further one.
        family = server.children(recursive=True)
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in (*family, server):
                process.resume()

    def kill(self) -> None:
        """SIGKILL the server with all its processes, as a crash of the host would."""
        assert self._server is not None and self._server.poll() is None
        family = psutil.Process(self._server.pid).children(recursive=True)
        self._server.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._server.wait()
        psutil.wait_procs(family, timeout=10)

    def cut_connections(self) -> None:
        """End every connection but our own, as an administrator or a proxy may, once there are."""
        with psycopg.connect(self.url, autocommit=True) as connection:

            def cut() -> bool:
                found = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                ).fetchall()
                return (True,) in found

            wait_for(cut, seconds=CONNECTED_SECONDS)

    def close(self) -> None:
        """End it."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=2).close()
            return True
        return False

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        subprocess.run(
            command, check=True, user=self._user, stdout=subprocess.DEVNULL, cwd=self._directory
        )


class OwnRedis:
    """One Redis without persistence: what it loses when it is killed must not matter."""

    def __init__(self) -> None:
        """Choose a port; nothing runs yet."""
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address as REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server = subprocess.Popen(
            ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._answers, seconds=30)

    def kill(self) -> None:
        """SIGKILL it."""
        assert self._server is not None and self._server.poll() is None
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        """End it."""
        if self._server is not None and self._server.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(redis.Redis.from_url(self.url).ping())
        return False


@contextmanager
def own_services() -> Iterator[tuple[OwnPostgres, OwnRedis]]:
    """Yield both, started; a test without their programs is skipped, or fails in CI."""
    try:
        _postgres_programs()
        subprocess.run(["redis-server", "--version"], check=True, stdout=subprocess.DEVNULL)
    except OSError as error:
        missing("the program of PostgreSQL or Redis", error)
    # Not below pytest's directory: that is closed to the user postgres.
    directory = Path(tempfile.mkdtemp(prefix="dialer-postgres-"))
    postgres, other = OwnPostgres(directory), OwnRedis()
    try:
        postgres.start()
        other.start()
        yield postgres, other
    finally:
        other.close()
        postgres.close()
        shutil.rmtree(directory, ignore_errors=True)


def _postgres_programs() -> Path:
    """Return the directory of PostgreSQL's own programs; raises FileNotFoundError."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places or (os.geteuid() == 0 and not _has_user("postgres")):
        raise FileNotFoundError("initdb, or the user postgres")
    return places[-1]


def _has_user(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False
