"""Conversion of one setting: every kind, its limits, and what an error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client.errors import ConfigError
from agent_client.settings import Rule, Setting, convert, shown


def _setting(kind: str, **limits) -> Setting:
    return Setting("task", "thing", Rule(kind, "a thing", **limits), None)


def _convert(kind: str, raw: object, **limits):
    return convert(_setting(kind, **limits), raw, origin="file x.yaml", base=Path("/base"))


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("text", " abc ", "abc"),
        ("text", 7, "7"),
        ("integer", "12", 12),
        ("integer", 3.0, 3),
        ("number", "2.5", 2.5),
        ("truth", "Yes", True),
        ("truth", 0, False),
        ("truth", False, False),
        ("path", "logs", Path("/base/logs")),
        ("path", "/abs", Path("/abs")),
        ("address", "wss://host:1/x/", "wss://host:1/x"),
        ("address", "", ""),
        ("labels", "a=1, b=two", {"a": "1", "b": "two"}),
        ("labels", {"gpu": "h200"}, {"gpu": "h200"}),
    ],
)
def test_convert_returns_the_type_when_the_text_fits(kind, raw, value):
    assert _convert(kind, raw) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("text", ["a"]),
        ("text", "a\x1b[0m"),
        ("integer", "1.5"),
        ("integer", True),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "ten"),
        ("number", None),
        ("truth", "maybe"),
        ("path", ""),
        ("address", "host:80"),
        ("address", "ftp://host"),
        ("address", "http://me:secret@host"),
        ("address", "http://host/?q=1"),
        ("labels", "=x"),
        ("labels", ["a"]),
        ("labels", ",".join(f"l{n}=1" for n in range(65))),
    ],
)
def test_convert_refuses_when_the_value_is_wrong(kind, raw):
    with pytest.raises(ConfigError):
        _convert(kind, raw)


def test_convert_names_key_origin_and_remedy_when_it_refuses():
    with pytest.raises(ConfigError) as caught:
        _convert("integer", "0", minimum=1)
    assert str(caught.value) == "task.thing (file x.yaml): 0 is too small. Use 1 or more."
    assert caught.value.exit_code == 2


def test_convert_refuses_when_above_the_maximum():
    with pytest.raises(ConfigError, match="too large"):
        _convert("number", 11, maximum=10)


def test_choice_ignores_case_when_it_matches():
    assert _convert("choice", "debug", choices=("INFO", "DEBUG")) == "DEBUG"


def test_choice_lists_the_choices_when_nothing_matches():
    with pytest.raises(ConfigError, match="INFO, DEBUG"):
        _convert("choice", "loud", choices=("INFO", "DEBUG"))


def test_refusal_never_shows_a_password_in_an_address():
    with pytest.raises(ConfigError) as caught:
        _convert("address", "http://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_variable_carries_the_section_when_there_is_one():
    assert _setting("text").variable == "AGENT_TASK_THING"
    assert Setting("", "state_dir", Rule("path", ""), None).variable == "AGENT_STATE_DIR"


@pytest.mark.parametrize(
    ("item", "value", "text"),
    [
        (_setting("text", secret=True), "dpa_x", "(set)"),
        (_setting("text", secret=True), "", "(not set)"),
        (_setting("labels"), {"a": "1"}, "a=1"),
        (_setting("path"), None, ""),
        (_setting("integer"), 3, "3"),
    ],
)
def test_shown_hides_secrets_and_reads_well(item, value, text):
    assert shown(item, value) == text
