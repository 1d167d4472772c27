"""A real installation for a test: the server and agents as processes on free loopback ports.

Everything lives in one temporary directory; `close` ends what was started, by process id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

from tests.e2e import prepared

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
START_SECONDS = 45
T = TypeVar("T")


def free_port() -> int:
    """Return a port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], T], *, seconds: float = 30, each: float = 0.05) -> T:
    """Return the first true value of what(); raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{getattr(what, '__name__', what)}: not within {seconds} s")
        time.sleep(each)


@dataclass
class Stack:
    """One installation: `api` speaks to it as the administrator."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    housekeeping: subprocess.Popen[bytes] | None = None
    ca_file: str = ""
    """Who signed the server's certificate, when it speaks https."""
    _session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Return the server's data directory."""
        return self.directory / "data"

    def process_environment(self) -> dict[str, str]:
        """Return the environment of every process of this installation."""
        return {
            **os.environ,
            "DIALER_PORT": str(self.port),
            "DIALER_DATA_DIR": str(self.data),
            "DIALER_ADMIN_PASSWORD": PASSWORD,
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }

    def manage(self, *arguments: str) -> str:
        """Run one management command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.process_environment(),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start_server(self, *, with_agent: bool = False) -> None:
        """Start `manage.py up` and wait until it is ready."""
        if not self.data.exists() and prepared.home and "DATABASE_URL" not in self.environment:
            self.authorize(prepared.copy_to(self.data, make_first_start))
        self._session.verify = self.ca_file or True
        if self.ca_file:
            self._session.trust_env = False  # a bundle named in the environment would win
        self._start_server([] if with_agent else ["--no-agent"])
        if "Authorization" not in self._session.headers:
            self.authorize(self.manage("token", "admin").splitlines()[-1])

    def _start_server(self, arguments: list[str]) -> None:
        """Start the process and wait until it serves."""
        self.server = self._spawn("server", "manage.py", "up", *arguments)
        wait_for(self._is_ready, seconds=START_SECONDS)

    def authorize(self, token: str) -> None:
        """Speak as the one whose token this is."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def start_housekeeping(self) -> None:
        """Start the periodic work as a process beside the server; one of them does it."""
        self.housekeeping = self._spawn("housekeeping", "manage.py", "housekeeping")

    def _is_ready(self) -> bool:
        """Return whether the server answers; fails at once when its process has ended."""
        assert self.server is not None
        assert self.server.poll() is None, self.output_of("server")
        with contextlib.suppress(requests.RequestException):
            return self._session.get(f"{self.url}/readyz", timeout=2).status_code == 200
        return False

    def start_agent(
        self,
        name: str = "host1",
        *,
        program: Sequence[str] = ("-m", "agent_client"),
        server: str = "",
        **environment: str,
    ) -> str:
        """Start an agent (enrolling it the first time) and return its id once it is online.

        program replaces the agent's own, server its address of ours: for faults.
        """
        self.spawn_agent(name, program=program, server=server, **environment)
        return str(wait_for(lambda: self.online_agent(name), seconds=START_SECONDS))

    def spawn_agent(
        self,
        name: str,
        *,
        program: Sequence[str] = ("-m", "agent_client"),
        server: str = "",
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start the process of an agent without waiting for it."""
        state = self.directory / f"agent-{name}"
        arguments = [
            "main",
            "--server",
            server or self.url,
            "--name",
            name,
            "--state-dir",
            str(state),
        ]
        if not (state / "identity.json").exists():
            arguments += ["--enroll", self.post("/api/v1/agents/enroll/", {}).json()["token"]]
        environment.setdefault("AGENT_TASK_MAX_CONCURRENT_TASKS", "8")
        environment.setdefault("AGENT_LOGGING_LOG_DIR", str(self.directory / f"logs-{name}"))
        # A home without start-up files: a shell that is killed in the middle of somebody's may
        # leave locks behind that make every later start wait.
        environment.setdefault("HOME", str(self._home()))
        process = self._spawn(f"agent-{name}", *program, *arguments, **environment)
        self.agents[name] = process
        return process

    def _home(self) -> Path:
        """Return an empty home directory."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return home

    def online_agent(self, name: str) -> str | None:
        """Return the id of the online main agent of that name."""
        answer = self.get("/api/v1/agents/")
        assert answer.ok, answer.text
        agents = answer.json()["results"]
        return next(
            (a["id"] for a in agents if a["name"] == name and a["status"] == "online"), None
        )

    def _spawn(self, label: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a Python process in a session of its own, its output in a file."""
        output = (self.directory / f"{label}.out").open("ab")
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.process_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def output_of(self, label: str) -> str:
        """Return what a process printed, for failures."""
        return (self.directory / f"{label}.out").read_text("utf-8", "replace")[-4000:]

    def log_of_agent(self, name: str = "host1") -> str:
        """Return what is in an agent's own log file; a plain standard error has warnings only."""
        files = sorted((self.directory / f"logs-{name}").glob("agent*.log"))
        return "".join(file.read_text("utf-8", "replace") for file in files)

    # --- the API ---------------------------------------------------------------

    @property
    def credentials(self) -> dict[str, str]:
        """Return the headers of the administrator, for requests of another shape."""
        return {"Authorization": str(self._session.headers["Authorization"])}

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET as the administrator."""
        return self._session.get(self.url + path, timeout=30, **options)

    def post(self, path: str, body: object = None, **options: Any) -> requests.Response:
        """POST JSON as the administrator."""
        return self._session.post(self.url + path, json=body, timeout=60, **options)

    def delete(self, path: str) -> requests.Response:
        """DELETE as the administrator."""
        return self._session.delete(self.url + path, timeout=30)

    def submit(self, script: str, **fields: object) -> int:
        """Submit a script and return the task's id."""
        body = {
            "name": "test",
            "template_type": "test",
            "script_content": script,
            "cpu_cores": 0,
            **fields,
        }
        answer = self.post("/api/v1/tasks/", body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def task(self, task_id: int) -> dict[str, Any]:
        """Return one task as the API shows it."""
        return dict(self.get(f"/api/v1/tasks/{task_id}/").json())

    def log(self, task_id: int, **query: object) -> bytes:
        """Return the first 8 MiB of a task's log."""
        query.setdefault("limit", 8 * 1024 * 1024)
        return self.get(f"/api/v1/tasks/{task_id}/log/", params=query).content

    def wait_status(self, task_id: int, *statuses: str, seconds: float = 30) -> dict[str, Any]:
        """Return the task once it is in one of the states."""
        try:
            wait_for(lambda: self.task(task_id)["status"] in statuses, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.task(task_id)}\n{self.output_of('server')}") from error
        return self.task(task_id)

    def wait_final(self, task_id: int, seconds: float = 30) -> dict[str, Any]:
        """Return the task once it has ended and its log is complete."""
        self.wait_status(task_id, "completed", "failed", "canceled", seconds=seconds)
        wait_for(lambda: self.is_complete(task_id), seconds=seconds)
        return self.task(task_id)

    def is_complete(self, task_id: int) -> bool:
        """Return whether the server says that it has all bytes of an ended task."""
        answer = self.get(f"/api/v1/tasks/{task_id}/log/?limit=1")
        return answer.headers.get("X-Log-Complete") == "true"

    # --- faults ----------------------------------------------------------------

    def kill_agent(self, name: str = "host1") -> None:
        """SIGKILL the main agent only."""
        process = self.agents.pop(name)
        process.kill()
        process.wait()

    def kill_agent_and_zygote(self, name: str = "host1") -> None:
        """SIGKILL the main agent and its zygote, leaving sub-agents and scripts alive."""
        process = self.agents.pop(name)
        children = psutil.Process(process.pid).children()
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.Error):  # a script that has just ended
                if any("zygote" in word for word in child.cmdline()):
                    child.kill()
        process.wait()

    def kill_server(self) -> None:
        """SIGKILL the server."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.server = None

    def kill_housekeeping(self) -> None:
        """SIGKILL the process that does the periodic work."""
        assert self.housekeeping is not None
        self.housekeeping.kill()
        self.housekeeping.wait()

    def end_processes(self) -> None:
        """Ask the server and the agents to end, and see that they do."""
        started = [one for one in (*self.agents.values(), self.server, self.housekeeping) if one]
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            if process.poll() is None:
                process.kill()
                process.wait()

    def close(self) -> None:
        """End every process of this installation, scripts included, and remove its files."""
        self.end_processes()
        for process in self.leftovers():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def leftovers(self) -> list[psutil.Process]:
        """Return processes that carry this installation's data directory in their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                text = " ".join([*process.cmdline(), *process.environ().values()])
                if str(self.directory) in text and process.pid != os.getpid():
                    found.append(process)
        return found


def make_first_start(data: Path) -> str:
    """Start a server on an empty data directory once; returns a token of its administrator."""
    stack = Stack(directory=data.parent)
    assert stack.data == data
    try:
        stack._start_server(["--no-agent"])
        return stack.manage("token", "admin").splitlines()[-1]
    finally:
        stack.end_processes()


@contextlib.contextmanager
def running_stack(directory: Path, **environment: str) -> Iterator[Stack]:
    """Yield a started server without agents; closes everything behind it."""
    stack = Stack(directory=directory, environment=environment)
    try:
        stack.start_server()
        yield stack
    finally:
        stack.close()
