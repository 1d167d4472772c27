"""A line that breaks after a submission: asked again under its key, it is the same tasks (R26)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.lab import Lab, running_lab
from tests.faults.proxy import Proxy
from tests.faults.trials import planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.NETWORK),
    pytest.mark.xdist_group("network faults"),
]

REQUEST_SECONDS = 10
TASKS = 3


class CutClient:
    """A client that loses the answer to a request, or half of the request, the first time."""

    def __init__(self, lab: Lab, *, cut_after_bytes: int = 0) -> None:
        """Lose the answer, or cut the request after so many bytes."""
        self._lab = lab
        self._cut_after_bytes = cut_after_bytes
        self.proxy = Proxy(lab.stack.port)
        self.failures = 0

    def post(self, path: str, body: object, headers: dict[str, str]) -> requests.Response:
        """POST over the line; it breaks as long as no attempt has failed."""
        if self.failures:
            self.proxy.set()
        elif self._cut_after_bytes:
            self.proxy.set(cut_after_bytes=self._cut_after_bytes)
        else:
            self.proxy.set(stall_down=True)
        try:
            return self._post(path, body, headers)
        except requests.RequestException:
            self.failures += 1
            raise

    def _post(self, path: str, body: object, headers: dict[str, str]) -> requests.Response:
        headers = {**headers, **self._lab.stack.credentials}
        if self.failures or self._cut_after_bytes:
            url = self.proxy.url + path
            return requests.post(url, json=body, headers=headers, timeout=REQUEST_SECONDS)
        with requests.Session() as session:
            return self._lose_the_answer(session, path, body, headers)

    def _lose_the_answer(
        self, session: requests.Session, path: str, body: object, headers: dict[str, str]
    ) -> requests.Response:
        """Have the line reset when the server has answered and nothing has arrived."""

        def cut() -> None:
            wait_for(lambda: self.proxy.touched["stalled"])
            self.proxy.reset_all()

        cutter = Thread(target=cut)
        cutter.start()
        try:
            url = self.proxy.url + path
            return session.post(url, json=body, headers=headers, timeout=REQUEST_SECONDS * 6)
        finally:
            cutter.join()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path, lines=2) as found:
        yield found


def test_submission_whose_answer_was_lost_is_the_same_tasks(lab: Lab) -> None:
    body = {
        "name": "fault",
        "template_type": "fault",
        "cpu_cores": 0,
        "script_content": lab.ledger.script(),
    }
    for number in range(planned(short=6, long=150)):
        # Every third one breaks before the server has all of it.
        client = CutClient(lab, cut_after_bytes=0 if number % 3 else 600)
        lab.submit_batch([body] * TASKS, post=client.post)
        assert client.failures == 1, "the line must have broken"
        client.proxy.close()
        lab.made()
    assert lab.verdict() == []
