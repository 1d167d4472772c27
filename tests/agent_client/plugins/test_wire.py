"""Lines between agent and plug-in: what is taken, what is cut, and what ends a plug-in."""

from __future__ import annotations

import io
import json
import math

import pytest

from agent_client.plugins import sdk
from agent_client.plugins.process import (
    MAX_BYTES_PER_SECOND,
    MAX_LINES_PER_SECOND,
    Flow,
    Misbehaved,
)
from agent_client.plugins.wire import (
    ConfigError,
    Measured,
    Ready,
    WireError,
    bounded,
    configure,
    decode,
    described,
    encode,
)
from agent_client.protocol.plugins import MAX_METRICS_PER_SAMPLE, PluginWanted
from tests.agent_client.plugins.speaking import talk


class Meter(sdk.Plugin):
    """A plug-in that does what it is told."""

    name = "meter"
    version = "3"

    def __init__(self, measured: sdk.Measured | None = None) -> None:
        self.measured = measured if measured is not None else {"a": 1.0}
        self.said: list[str] = []

    def configure(self, config):
        self.said.append(f"configure {config}")
        if "wrong" in config:
            raise sdk.ConfigRefused("wrong", "must not be there")

    def start(self):
        self.said.append("start")

    def collect(self):
        return self.measured

    def stop(self):
        self.said.append("stop")


# --- what the agent takes ------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"7",
        b"{}",
        b'{"type": "nonsense"}',
        b'{"type": "sample"}',
        b'{"type": "sample", "id": 1, "metrics": {"a": "1"}}',
        b'{"type": "sample", "id": 1, "metrics": {"a": NaN}}',
        b'{"type": "sample", "id": 1, "lines": [1]}',
        b'{"type": "ready"}',
        b"\xff\xfe{}",
        b'{"type": "log", "text": "\xff"}',
        b"[" * 60_000,
        b'{"type": "ready", "name": "p", "later": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_line_that_is_no_message_is_named(line):
    with pytest.raises(WireError, match="no message"):
        decode(line)


def test_unknown_fields_are_left_alone():
    answer = decode(b'{"type": "error", "field": "a", "detail": "b", "later": 1}')
    assert answer == ConfigError("a", "b")
    assert answer.sentence() == "a: b"


def test_sample_is_cut_to_its_bounds_and_the_rest_is_counted():
    metrics = {f"m{n}": 1.0 for n in range(MAX_METRICS_PER_SAMPLE + 5)}
    odd = {"": 1.0, "x" * 200: 1.0, "inf": math.inf, "a\nb": 1.0, "e": 1e31}
    kept, lines, refused = bounded(Measured(1, {**odd, **metrics}, ["y" * 3_000] * 250))
    assert len(kept) == MAX_METRICS_PER_SAMPLE
    assert not odd.keys() & kept.keys()
    assert (len(lines), len(lines[0])) == (200, 2_000)
    assert refused == 5 + len(odd) + 50


def test_flow_is_counted_by_the_second():
    now = 0.0
    flow = Flow(clock=lambda: now)
    for _ in range(5):
        flow.count(MAX_BYTES_PER_SECOND, lines=MAX_LINES_PER_SECOND)
        now += 1.0
    flow.count(MAX_BYTES_PER_SECOND)
    with pytest.raises(Misbehaved, match="bytes in a second"):
        flow.count(1)


def test_too_many_short_lines_are_a_flood_too():
    flow = Flow(clock=lambda: 0.0)
    with pytest.raises(Misbehaved, match="lines in a second"):
        for _ in range(MAX_LINES_PER_SECOND + 1):
            flow.count(2, lines=1)


# --- what the SDK says -----------------------------------------------------------------


def test_plugin_answers_each_message_in_its_turn():
    plugin = Meter()
    wanted = PluginWanted("meter", interval_seconds=5, config={"x": 1})
    line = configure(wanted, state_directory="/s", directories=("/a",), hidden=("/h",))
    answers = talk(
        plugin,
        json.loads(line),
        json.loads(encode("start")),
        json.loads(encode("later", what=1)),
        json.loads(encode("collect", id=4)),
        json.loads(encode("stop")),
        json.loads(encode("collect", id=5)),
    )
    assert [one["type"] for one in answers] == ["ready", "configured", "sample"]
    assert answers[-1] == {"type": "sample", "id": 4, "metrics": {"a": 1.0}, "lines": []}
    assert plugin.said == ["configure {'x': 1}", "start", "stop"]
    assert plugin.context == sdk.Context(5.0, "/s", ("/a",), ("/h",))


def test_plugin_that_refuses_says_the_field():
    answer = talk(Meter(), {"type": "configure", "config": {"wrong": 1}})[-1]
    assert answer == {"type": "error", "field": "wrong", "detail": "must not be there"}


def test_plugin_stops_when_its_input_ends():
    plugin = Meter()
    talk(plugin)
    assert plugin.said == ["stop"]


def test_value_that_is_not_finite_is_left_out():
    answer = talk(Meter({"a": math.nan, "b": math.inf, "c": 2}), {"type": "collect", "id": 1})
    assert answer[-1]["metrics"] == {"c": 2}


def test_all_parts_but_the_last_say_that_more_follow():
    parts = [sdk.Sample(lines=("a",)), sdk.Sample(lines=("b",)), sdk.Sample({"n": 2})]
    answers = talk(Meter(parts), {"type": "collect", "id": 1})[1:]
    assert [one.get("more", False) for one in answers] == [True, True, False]


def test_what_the_sdk_writes_is_what_the_agent_reads():
    stdout = io.BytesIO()
    text = "中文 \x1b \u2028 \ud800"
    sdk.speak(
        Meter(sdk.Sample({"a": 1}, (text,))),
        io.BytesIO(b'{"type": "configure"}\n{"type": "collect", "id": 1}\n'),
        stdout,
    )
    sdk.log(stdout, "error", "x" * 5_000)
    decoded = [decode(line) for line in stdout.getvalue().splitlines()]
    assert [type(one).__name__ for one in decoded] == ["Ready", "Configured", "Measured", "Log"]


def test_sdk_is_one_file_that_needs_only_the_standard_library():
    import ast
    import sys
    from pathlib import Path

    tree = ast.parse(Path(sdk.__file__).read_text(encoding="utf-8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names if name} <= sys.stdlib_module_names


def test_line_that_no_database_takes_is_mended():
    _, lines, refused = bounded(Measured(1, {}, ["a\0b"]))
    assert (lines, refused) == (("a\ufffdb",), 0)


def test_description_of_metrics_is_bounded_and_plain():
    hostile = {
        "a": {"unit": "u" * 99, "help": "h\0" * 999, "kind": "histogram", "more": "x"},
        "": {},
        "b" * 121: {},
    }
    found = described(Ready("p", metrics=hostile | {f"m{n}": {} for n in range(300)}))
    assert "" not in found
    assert len(found) <= MAX_METRICS_PER_SAMPLE
    assert (len(found["a"].unit), len(found["a"].help), found["a"].kind) == (20, 200, "gauge")
    assert "\0" not in found["a"].help
