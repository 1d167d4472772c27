"""mysql: the first packet of a MySQL or MariaDB server: a greeting or a refusal."""

from __future__ import annotations

from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds import patterns
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.mysql import MysqlSettings

MAX_GREETING_BYTES = 4_096
_GREETING, _ERROR = 10, 255


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: MysqlSettings = talk.run.config
    yield from talk.connect(*split_endpoint(talk.run.target, 3306))
    talk.enter("ttfb")
    head = yield from talk.receive_exactly(4)
    size = int.from_bytes(head[:3], "little")
    if not 1 <= size <= MAX_GREETING_BYTES or head[3] != 0:
        raise ProtocolViolation(f"does not speak MySQL's protocol: {head!r}")
    packet = yield from talk.receive_exactly(size)
    if packet[0] == _ERROR:
        # "Too many connections", "host is blocked": it lives, but lets nobody in.
        raise CheckFailed(f"refuses: {packet[3:200].decode('utf-8', 'replace')}")
    version, ended, _ = packet[1:].partition(b"\0")
    if packet[0] != _GREETING or not ended:
        raise ProtocolViolation(f"does not greet as MySQL does: {packet[:40]!r}")
    talk.details["version"] = version[:100].decode("utf-8", "replace")
    if settings.version_regex and not patterns.matches(settings.version_regex, version):
        raise CheckFailed(f"the version is {talk.details['version']}")


KIND = Kind("mysql", MysqlSettings, steps=_talk)
