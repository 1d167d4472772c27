"""The clean process that forks sub-agents: exec'ed by the main agent, single threaded.

    python -I -S zygote.py <request socket> <hint pipe>

One request (a task directory as JSON) per packet; the answer carries the sub-agent's pid
and, as a descriptor, its pidfd, opened before anybody could reap it. Ends when the main
agent's side of the socket closes; the sub-agents go on. Holds no task state.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from agent_client.sub_agent import tree
from agent_client.sub_agent.identity import boot_id
from agent_client.sub_agent.sub_agent import run_task

MAX_REQUEST_BYTES = 16 * 1024


class Zygote:
    """Answers fork requests one after the other and reaps what it forked."""

    def __init__(self, requests: socket.socket, hints: int) -> None:
        self._requests = requests
        self._hints = hints
        self._wake_read, self._wake_write = os.pipe()

    def serve(self) -> None:
        """Fork until the main agent is gone; in a forked child this never returns."""
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        self._requests.send(b'{"ready": true}')
        boot_id()  # remembered for all children
        # What exists now is shared with every child for ever; collecting would unshare it.
        gc.freeze()
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wake_read in ready:
                self._reap()
            if self._requests.fileno() in ready:
                try:
                    request = self._requests.recv(MAX_REQUEST_BYTES)
                    if not request:
                        return
                    self._fork(json.loads(request)["directory"])
                except ConnectionError:
                    return

    def _fork(self, directory: str) -> None:
        """Fork one sub-agent and answer with who it is."""
        try:
            pid = os.fork()
        except OSError as error:
            answer = {"error": f"no process could be made: {error.strerror}"}
            self._requests.send(json.dumps(answer).encode())
            return
        if pid == 0:
            self._become_sub_agent(directory)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(self._requests, [json.dumps({"pid": pid}).encode()], [pidfd])
        os.close(pidfd)

    def _become_sub_agent(self, directory: str) -> None:
        """Run the task in this forked child, then leave without the zygote's clean-up."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for descriptor in (self._requests.detach(), self._wake_read, self._wake_write):
                os.close(descriptor)
            run_task(directory, hints=self._hints)
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Collect dead sub-agents by pid; their ends are on disk, so statuses are dropped."""
        os.read(self._wake_read, MAX_REQUEST_BYTES)
        while pid := tree.dead_child():
            os.waitpid(pid, 0)


def main(arguments: list[str]) -> None:
    """Serve the socket and hint pipe whose descriptors the main agent passed."""
    requests, hints = int(arguments[0]), int(arguments[1])
    for descriptor in (requests, hints):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Zygote(socket.socket(fileno=requests), hints).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
