"""A `.netrc` of the user is about the user's own requests: the agent's carry what it gave them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from requests import Request

from agent_client.protocol.messages import Welcome
from agent_client.transport.polling import open_session
from tests.agent_client.fake_server import FakeServer, fake_server
from tests.agent_client.transport.test_transports import HELLO, make

NOT_LOOPBACK = "0.0.0.0"
"""An address of this machine that counts as another's."""


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture(autouse=True)
def netrc(monkeypatch, tmp_path) -> None:
    """Give the user another credential for the host of the server."""
    path = tmp_path / "netrc"
    path.write_text(f"machine {NOT_LOOPBACK} login somebody password secret\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")


async def test_agent_is_known_when_netrc_names_the_host(server):
    transport = make("polling", server.url.replace("127.0.0.1", NOT_LOOPBACK))
    await transport.connect(HELLO)
    received = transport.received()
    assert isinstance(await anext(received), Welcome)
    await received.aclose()
    await transport.close()


def test_no_credential_is_sent_when_only_netrc_has_one():
    address = f"http://{NOT_LOOPBACK}"
    with open_session(address, None) as session:
        request = session.prepare_request(Request("GET", f"{address}/healthz"))
    assert "Authorization" not in request.headers


def test_environment_still_names_the_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    address = "http://dialer.example"
    with open_session(address, None) as session:
        settings = session.merge_environment_settings(address, {}, False, None, None)
    assert settings["proxies"]["http"] == "http://proxy.example:3128"
