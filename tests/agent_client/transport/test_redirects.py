"""A redirect is a failure that is tried again, and the credential stays with the named server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from agent_client.transport.base import ConnectionFailed
from tests.agent_client.fake_server import fake_server
from tests.agent_client.transport.test_link import linked
from tests.agent_client.transport.test_transports import HELLO, failure, make


@contextlib.asynccontextmanager
async def redirecting(status: int, target: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a server that answers everything with a redirect; yields its address and what it got."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.close()

    front = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with front:
        yield f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize("kind", ["websocket", "polling"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nothing_is_sent_to_the_target_of_a_redirect(kind, status):
    # The same address by another name is another server, too: what matters is who was named.
    async with fake_server() as other:
        target = f"{other.url.replace('127.0.0.1', 'localhost')}/ws/agent/elsewhere"
        async with redirecting(status, target) as (url, heads):
            found = await failure(make(kind, url))
        assert isinstance(found, ConnectionFailed)
        assert f"redirect to {target} (HTTP {status}), which is not followed" in found.detail
        assert len(heads) == 1
        assert other.requests == []
        assert other.brain.received == []


@pytest.mark.parametrize("target", ["", "//[", "http://", "ftp://elsewhere/", "x" * 5000])
async def test_target_that_is_no_address_is_a_failure_like_any_other(target):
    async with redirecting(302, target) as (url, _):
        assert isinstance(await failure(make("websocket", url)), ConnectionFailed)


@contextlib.contextmanager
def proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, proxy: str) -> Iterator[None]:
    with monkeypatch.context() as environment:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            environment.setenv(name, proxy)
        environment.delenv("NO_PROXY", raising=False)
        environment.delenv("no_proxy", raising=False)
        yield


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense://127.0.0.1:1"])
async def test_proxy_that_cannot_be_used_is_a_failure_and_not_the_end(proxy, monkeypatch):
    with (
        proxy_of_the_environment(monkeypatch, proxy),
        pytest.raises(ConnectionFailed),
    ):
        await make("websocket", "http://192.0.2.1:9").connect(HELLO)


async def test_agent_goes_on_at_the_backup_when_its_server_redirects():
    async with (
        fake_server() as backup,
        redirecting(302, "http://192.0.2.1/") as (url, _),
        linked(url, backup.url) as side,
    ):
        await side.link.wait_ready()
        assert backup.is_connected
