"""check(): every mistake is named with its remedy, and nothing makes it raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.protocol import probe_kinds
from agent_client.protocol.probe_kinds.patterns import look_up, parse_path
from agent_client.protocol.probe_kinds.payload import payload

TARGETS = {"http": "http://a.test/", "websocket": "ws://a.test/", "dns": "a.test", "ping": "a.test"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = sorted({field.name for kind in probe_kinds.names() for field in probe_kinds.fields(kind)})


@pytest.mark.parametrize("kind", probe_kinds.names())
def test_every_kind_is_valid_with_its_defaults(kind: str) -> None:
    assert probe_kinds.check(kind, TARGETS.get(kind, "a.test:80"), {}) == {}
    assert all(field.label for field in probe_kinds.fields(kind))


@pytest.mark.parametrize("kind", probe_kinds.names())
def test_unknown_setting_is_named(kind: str) -> None:
    field = probe_kinds.fields(kind)[0].name
    found = probe_kinds.check(kind, TARGETS.get(kind, "a.test:80"), {field + "x": 1})
    assert found == {f"config.{field}x": [found[f"config.{field}x"][0]]}
    assert f"did you mean {field}?" in found[f"config.{field}x"][0]


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"warn_ms": -1}, "warn_ms", "at least 0"),
        ({"method": "get"}, "method", "Choose one of"),
        ({"expected_status": ["700"]}, "expected_status", "2xx"),
        ({"body_regex": "(?=a)"}, "body_regex", "RE2"),
        ({"headers": {"a\r\nb": "c"}}, "headers", "not a header name"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers", "line break"),
        ({"headers": {"Content-Length": "1"}}, "headers", "remove it"),
        ({"json_path": "a..b"}, "json_path", "items[0].name"),
        ({"json_equals": 1}, "json_equals", "json_path"),
        ({"bearer_token": "a", "username": "b"}, "bearer_token", "not both"),
    ],
)
def test_mistake_in_http_settings_is_named(config: dict[str, Any], field: str, words: str) -> None:
    found = probe_kinds.check("http", "http://a.test/", config)
    assert list(found) == [f"config.{field}"]
    assert words in found[f"config.{field}"][0]


@pytest.mark.parametrize(
    "target",
    ["", "a.test", "ftp://a/", "http://", "http://u:p@a/", "http://a:0/", "http://a\r\nb/", 5],
)
def test_target_of_http_is_refused_when_it_is_no_url(target: object) -> None:
    assert list(probe_kinds.check("http", target, {})) == ["target"]


@pytest.mark.parametrize("target", ["", "a", "a:0", "a:99999", ":1", "[::1", "-a:1", "a b:1"])
def test_target_of_tcp_is_refused_when_it_is_no_endpoint(target: str) -> None:
    assert list(probe_kinds.check("tcp", target, {})) == ["target"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*probe_kinds.names(), "nothing"]), JSON, JSON)
def test_check_never_raises(kind: str, target: Any, config: Any) -> None:
    assert isinstance(probe_kinds.check(kind, target, config), dict)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(probe_kinds.names()),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
)
def test_what_check_accepts_becomes_settings(kind: str, config: dict[str, Any]) -> None:
    if not probe_kinds.check(kind, TARGETS.get(kind, "a.test:80"), config):
        assert probe_kinds.settings(kind, config) is not None


def test_payload_reads_escapes() -> None:
    assert payload("ä\\r\\n\\x00\\\\") == "ä".encode() + b"\r\n\0\\"


def test_path_finds_quoted_names() -> None:
    assert look_up(parse_path('$["a b"][-1].c'), {"a b": [{"c": 5}]}) == 5
