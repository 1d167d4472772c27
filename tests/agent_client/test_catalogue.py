"""The sentences of the log: the fixed Chinese ones to the letter, and both languages whole."""

from __future__ import annotations

import logging
import string

import pytest

from agent_client.catalogue import ENTRIES, Line, announce, resolve_language


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (
            Line("probe_added", task_id=7, interval=60, tenant="abc"),
            "INFO",
            "新增任务 task_id=7, interval=60s, tenant=abc",
        ),
        (
            Line("probe_changed", task_id=7, interval=120),
            "INFO",
            "修改任务 task_id=7, 新间隔=120s",
        ),
        (Line("probe_removed", task_id=7), "INFO", "删除任务 task_id=7"),
        (
            Line("task_failed", task_id=7, error="timeout"),
            "ERROR",
            "任务执行失败 task_id=7, error=timeout",
        ),
        (
            Line("thread_pool", active=5, pending=10, completed=100),
            "DEBUG",
            "当前线程池 active=5, pending=10, completed=100",
        ),
    ],
)
def test_fixed_line_reads_word_for_word_in_chinese(line, level, text):
    assert line.text("zh") == text
    assert logging.getLevelName(line.level) == level


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", ENTRIES)
def test_both_languages_use_the_same_values(key):
    assert _names(ENTRIES[key].zh) == _names(ENTRIES[key].en)


def test_line_degrades_to_key_and_values_when_a_value_is_missing():
    assert Line("probe_added", task_id=7).text("zh") == "probe_added task_id=7"


def test_line_degrades_to_key_and_values_when_the_key_is_unknown():
    line = Line("of_a_newer_version", a=1)
    assert (str(line), line.level) == ("of_a_newer_version a=1", logging.WARNING)


def test_announce_logs_at_the_level_of_the_catalogue(caplog):
    logger = logging.getLogger("agent_client.test_catalogue")
    with caplog.at_level(logging.DEBUG, logger.name):
        announce(logger, "probe_removed", task_id=3)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "task removed task_id=3")
    ]


@pytest.mark.parametrize(
    ("wanted", "environ", "language"),
    [
        ("zh", {"LANG": "en_US.UTF-8"}, "zh"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("auto", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("auto", {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ("auto", {"LC_MESSAGES": "zh_TW", "LANG": "C"}, "zh"),
        ("auto", {}, "en"),
    ],
)
def test_language_follows_config_then_locale(wanted, environ, language):
    assert resolve_language(wanted, environ) == language
