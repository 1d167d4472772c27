"""Which server the agent believes: authorities, a pin, and everybody else is refused."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent_client.errors import Retryable, Terminal
from agent_client.registration import post_json
from agent_client.transport.base import Endpoint
from agent_client.transport.polling import PollingTransport
from agent_client.transport.trust import Trust, fingerprint_of, parse_fingerprint
from agent_client.transport.websocket import WebSocketTransport
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server
from tests.agent_client.probes.certificates import Authority
from tests.agent_client.transport.test_transports import HELLO, beat

DIGEST = "ab" * 32


class TlsServer:
    """A fake server behind TLS; `seen` counts the bytes that came through it."""

    def __init__(self, behind: FakeServer) -> None:
        self._port = urlsplit(behind.url).port
        self.seen = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self, context: ssl.SSLContext) -> AsyncIterator[TlsServer]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.wait(
            [
                asyncio.ensure_future(self._pump(reader, onward[1], counts=True)),
                asyncio.ensure_future(self._pump(onward[0], writer, counts=False)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        writer.close()
        onward[1].close()

    async def _pump(self, reader, writer, *, counts: bool) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                self.seen += len(data) * counts
                writer.write(data)
                await writer.drain()


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def pin_of(authority: Authority, name: str = "localhost", days: int = 90) -> str:
    """Return the digest of the certificate that `authority.server(name, days)` shows."""
    pem = (authority.folder / f"{name}.{days}.pem").read_bytes()
    pem = pem[pem.index(b"-----BEGIN CERTIFICATE") :]
    first = x509.load_pem_x509_certificates(pem)[0]
    return fingerprint_of(first.public_bytes(Encoding.DER))


@pytest.fixture
async def server(authority) -> AsyncIterator[TlsServer]:
    async with fake_server() as behind:
        found = TlsServer(behind)
        async with found.listening(authority.server()):
            yield found


async def use(kind: str, url: str, trust: Trust) -> None:
    """Connect and introduce the host; raises as the transport does."""
    endpoint = Endpoint(url, AGENT_ID, TOKEN, trust)
    made = (
        WebSocketTransport(endpoint)
        if kind == "websocket"
        else PollingTransport(endpoint, make_beat=beat)
    )
    try:
        await made.connect(HELLO)
        await anext(aiter(made.received()))
    finally:
        await made.close()


@pytest.mark.parametrize("kind", ["websocket", "polling"])
async def test_server_of_the_own_authority_is_believed(server, authority, kind):
    await use(kind, server.url, Trust(ca_file=authority.root_file))
    assert server.seen


@pytest.mark.parametrize("kind", ["websocket", "polling"])
async def test_pinned_certificate_is_believed_whatever_signed_it(server, authority, kind):
    await use(kind, server.url, Trust(fingerprint=pin_of(authority)))
    assert server.seen


@pytest.mark.parametrize("kind", ["websocket", "polling"])
@pytest.mark.parametrize("trust", [Trust(), Trust(fingerprint=DIGEST)])
async def test_server_that_is_not_believed_gets_nothing(server, kind, trust):
    with pytest.raises(Retryable):
        await use(kind, server.url, trust)
    assert server.seen == 0


@pytest.mark.parametrize("kind", ["websocket", "polling"])
@pytest.mark.parametrize(("name", "days"), [("elsewhere", 90), ("localhost", -1)])
async def test_wrong_name_and_expired_certificates_are_refused(authority, kind, name, days):
    async with fake_server() as behind:
        found = TlsServer(behind)
        async with found.listening(authority.server(name, days)):
            with pytest.raises(Retryable):
                await use(kind, found.url, Trust(ca_file=authority.root_file))
            assert found.seen == 0


async def test_registration_sends_its_token_to_the_believed_server_only(server, authority):
    with pytest.raises(Retryable):
        await asyncio.to_thread(post_json, f"{server.url}/x", b"{}", Trust())
    assert server.seen == 0
    trust = Trust(fingerprint=pin_of(authority))
    status = (await asyncio.to_thread(post_json, f"{server.url}/x", b"{}", trust)).status
    assert (status, server.seen > 0) == (401, True)


async def test_registration_follows_no_redirect():
    async def redirect(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(redirect, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    assert (await asyncio.to_thread(post_json, url, b"{}"))[0] == 302
    listener.close()


def test_file_that_holds_no_authority_is_a_mistake_of_the_configuration(tmp_path: Path):
    with pytest.raises(Terminal, match="ca_file"):
        Trust(ca_file=tmp_path / "missing").context_for("https://localhost")


def test_plain_http_needs_no_context():
    assert Trust(fingerprint=DIGEST).context_for("http://127.0.0.1:1") is None


@pytest.mark.parametrize("text", [DIGEST, DIGEST.upper(), "sha256:" + ":".join(["AB"] * 32)])
def test_fingerprint_is_read_as_people_copy_it(text):
    assert parse_fingerprint(text) == DIGEST


@pytest.mark.parametrize("text", ["abc", DIGEST + "a", "g" * 64])
def test_what_is_no_fingerprint_is_refused(text):
    with pytest.raises(ValueError, match="SHA-256"):
        parse_fingerprint(text)
