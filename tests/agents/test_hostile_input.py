"""Whatever a host sends, it is answered or refused; nothing escapes, nothing stops."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.protocol import codec
from agent_client.protocol.messages import Capacity, Gpu, Hello
from agents import hot, hot_flush
from agents.heartbeat_endpoint import parse_heartbeat, split_chunks
from agents.inbox_batch import Submission, run_batch
from agents.inbox_registry import Registry
from agents.models import Agent
from agents.raw_http import read_object
from agents.registration_endpoint import read_fields
from agents.services import presence
from agents.system_facts import bounded_labels, bounded_system
from dialer_platform.errors import DomainError, Invalid
from tests.agents import wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = ("agent_id", "thread_pool", "holds", "gpus", "resources", "capacity", "messages")
DEEP = (b"[" * 100_000, b'{"type":' * 100_000, b'{"agent_id":"a","x":' + b"[" * 100_000)


@given(st.binary(max_size=200))
def test_bytes_are_a_heartbeat_or_refused(data):
    try:
        parse_heartbeat(data)
    except DomainError as error:
        assert error.status == 400


@pytest.mark.parametrize("text", [b"\xff", b"\\ud800", b"\xed\xa0\x80"])
def test_texts_that_are_no_unicode_are_refused(text):
    for read in (parse_heartbeat, read_object):
        with pytest.raises(Invalid):
            read(b'{"agent_id": "%s", "name": "%s"}' % (text, text))


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_objects_are_a_heartbeat_or_refused(body):
    try:
        parse_heartbeat(codec.encode({"agent_id": "a", **body}))
    except DomainError as error:
        assert error.status == 400


@given(st.binary(max_size=100), st.integers(0, 200))
def test_bytes_are_chunks_or_refused(data, length):
    try:
        list(split_chunks(struct.pack("!I", length) + data))
    except DomainError as error:
        assert error.status in {400, 413}


@given(st.binary(max_size=200))
def test_frames_are_messages_or_refused(data):
    for decode in (codec.decode_agent_frame, codec.decode_chunk):
        try:
            decode(data)
        except codec.ProtocolError:
            continue


@pytest.mark.parametrize("data", DEEP)
def test_deep_nesting_is_refused(data):
    with pytest.raises(codec.ProtocolError):
        codec.decode_agent_frame(data)
    with pytest.raises(DomainError):
        parse_heartbeat(data)


@given(st.dictionaries(st.sampled_from(["name", "system", "instance_id", "enroll_token"]), JSON))
def test_registration_fields_are_texts_or_refused(body):
    try:
        fields = read_fields(body)
    except DomainError as error:
        assert error.fields
    else:
        assert isinstance(fields["name"], str)


@given(st.dictionaries(st.text(), JSON))
def test_system_facts_stay_small_plain_json(facts):
    bounded = bounded_system(facts)
    assert b"\\u0000" not in codec.encode(bounded)
    assert len(bounded) <= 64


@given(st.dictionaries(st.text(), st.text(), max_size=50))
def test_labels_stay_small(labels):
    bounded = bounded_labels(labels)
    assert len(bounded) <= 32
    assert all(len(text) <= 63 for pair in bounded.items() for text in pair)


@pytest.mark.parametrize(
    "capacity",
    [
        b'{"cpu_cores": 1e30, "memory_bytes": 1, "slots": 1}',
        b'{"cpu_cores": 99999999999, "memory_bytes": 1, "slots": 1}',
        b'{"cpu_cores": 1, "memory_bytes": 99999999999999999999, "slots": 1}',
        b'{"cpu_cores": 1, "memory_bytes": 1, "slots": -1}',
    ],
)
def test_capacity_that_no_column_holds_is_refused(capacity):
    with pytest.raises(DomainError) as caught:
        parse_heartbeat(b'{"agent_id": "a", "capacity": ' + capacity + b"}")
    assert list(caught.value.fields) == ["capacity"]


@pytest.mark.django_db
def test_hello_of_a_giant_is_bounded(agent, speaker):
    capacity = Capacity(
        cpu_cores=2**31 - 1,
        memory_bytes=2**63 - 1,
        slots=2**31 - 1,
        gpus=tuple(Gpu(uuid=f"GPU-{n}", index=n) for n in range(1_000)),
    )
    registry = Registry()
    registry.register(Hello, presence.greet)
    hello = wire.hello(agent.id, capacity=capacity, version="v" * 10_000)
    hot.note_hello(speaker, hello)
    run_batch(registry, [Submission(speaker, (hello,))])
    hot_flush.flush()
    row = Agent.objects.get()
    assert (row.cpu_cores, row.memory_bytes) == (2**31 - 1, 2**63 - 1)


def test_defect_in_one_figure_does_not_end_the_flusher(monkeypatch):
    def broken() -> int:
        raise OverflowError

    monkeypatch.setattr(hot_flush, "flush", broken)
    hot_flush.Flusher()._round()
