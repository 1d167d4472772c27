"""The agent's log: its lines, its languages, and that it never holds up a caller."""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import re
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from agent_client import console_log
from agent_client import logger as module
from agent_client.catalogue import Line, announce
from agent_client.config import LoggingConfig
from agent_client.logger import (
    AgentLog,
    TextFormatter,
    append_line,
    catch_unhandled,
    child_environment,
    escape,
    setup_logging,
)

LOGGER = logging.getLogger("agent_client.test_logger")


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the log in tmp_path; it is closed at the end."""
    logs: list[AgentLog] = []
    level = logging.getLogger(module.PACKAGE).level

    def run(language="en", console=None, **settings) -> AgentLog:
        config = replace(LoggingConfig(log_path=tmp_path / "logs"), **settings)
        log = setup_logging(
            config,
            state_dir=tmp_path / "state",
            language=language,
            console=console or io.StringIO(),
        )
        logs.append(log)
        return log

    yield run
    for log in logs:
        log.close()
    logging.getLogger(module.PACKAGE).setLevel(level)


def _lines(log: AgentLog) -> list[str]:
    """Close the log and return the lines of its file."""
    path = log.path
    log.close()
    assert path is not None
    return path.read_text().splitlines()


def test_line_has_time_level_and_message(start):
    log = start()
    LOGGER.info("hello %s", "there")
    (line,) = _lines(log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] hello there", line)


def test_console_and_file_get_the_same_lines(start):
    console = io.StringIO()
    log = start(console=console)
    LOGGER.warning("both")
    assert _lines(log) == console.getvalue().splitlines()


def test_plain_file_gets_only_what_is_wrong_and_the_log_everything(start, tmp_path):
    with (tmp_path / "console").open("w+") as console:
        log = start(console=console)
        LOGGER.info("usual")
        LOGGER.warning("trouble")
        assert [line[-7:] for line in _lines(log)] == ["] usual", "trouble"]
        assert [line[-7:] for line in (tmp_path / "console").read_text().splitlines()] == [
            "trouble"
        ]


def test_plain_file_is_bounded_and_says_where_the_rest_is(start, tmp_path, monkeypatch):
    monkeypatch.setattr(console_log, "MAX_BYTES", 1000)
    with (tmp_path / "console").open("w+") as console:
        log = start(console=console)
        for number in range(100):
            LOGGER.warning("line %d", number)
        assert len(_lines(log)) == 100
    lines = (tmp_path / "console").read_text().splitlines()
    assert 10 < len(lines) < 30
    assert lines[-1].endswith(f"directory of the log: {tmp_path / 'logs'}")
    assert sum(map(len, lines)) < 1200


def test_plain_file_that_is_the_only_log_gets_everything(start, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "state").touch()
    with (tmp_path / "console").open("w+") as console:
        log = start(log_path=tmp_path / "file", console=console)
        LOGGER.info("usual")
        log.close()
    assert "usual" in (tmp_path / "console").read_text()


def test_pipe_gets_the_same_lines_as_the_log(start):
    read, write = os.pipe()
    with os.fdopen(write, "w") as console:
        log = start(console=console)
        LOGGER.info("usual")
        lines = _lines(log)
    with os.fdopen(read) as heard:
        assert heard.read().splitlines() == lines


@pytest.mark.parametrize(
    ("language", "text"), [("zh", "[INFO] 删除任务 task_id=7"), ("en", "[INFO] task removed")]
)
def test_catalogue_line_is_in_the_language_of_the_log(start, language, text):
    log = start(language)
    announce(LOGGER, "probe_removed", task_id=7)
    assert text in _lines(log)[0]


def test_level_of_the_config_is_the_least_that_is_written(start):
    log = start(log_mode="WARNING")
    LOGGER.info("quiet")
    LOGGER.warning("loud")
    assert [line[-4:] for line in _lines(log)] == ["loud"]


def test_libraries_are_heard_from_warning_on(start):
    log = start(log_mode="DEBUG")
    logging.getLogger("some.library").setLevel("INFO")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    assert [line.rsplit(" ", 1)[1] for line in _lines(log)] == ["trouble"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
        ("中文 ok", "中文 ok"),
        ("token dpa_ab12cd34ef56_secretsecret", "token dpa_ab12…"),
        ("dpt_ab12cd34ef56_SECRETSECRET", "dpt_ab12…"),
        ("/api/v1/push/dpp_-b-12cd_34ef56secret/?x", "/api/v1/push/dpp_-b-1…/?x"),
        ("dpe_x", "dpe_x"),
    ],
)
def test_escape_makes_one_harmless_line(text, safe):
    assert escape(text) == safe


def test_forged_line_stays_inside_its_own(start):
    log = start()
    LOGGER.info("name=%s", "x\n2026-11-21 10:00:00,000 [ERROR] forged")
    assert len(_lines(log)) == 1


def test_traceback_follows_in_indented_lines(start):
    log = start()
    try:
        raise ValueError("bad\x1b[0m")
    except ValueError:
        LOGGER.exception("it broke")
    head, *rest = _lines(log)
    assert head.endswith("[ERROR] it broke")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1].endswith("ValueError: bad\\x1b[0m")


def test_faulty_format_string_is_still_a_line():
    record = logging.makeLogRecord({"msg": "%d items", "args": ("three",)})
    assert TextFormatter().format(record).endswith("%d items ('three',)")


def test_json_lines_carry_event_and_fields(start):
    log = start(log_format="json")
    LOGGER.info(Line("task_started", task_id=3, pid=9))
    content = json.loads(_lines(log)[0])
    assert content["event"] == "task_started"
    assert content["fields"] == {"task_id": "3", "pid": "9"}
    assert content["level"] == "INFO"
    assert content["thread"] == "MainThread"


def test_json_line_carries_the_traceback(start):
    log = start(log_format="json")
    try:
        raise ValueError("bad")
    except ValueError:
        LOGGER.exception("it broke")
    assert json.loads(_lines(log)[0])["traceback"][-1] == "ValueError: bad"


def test_many_threads_write_whole_lines(start):
    log = start(console=io.StringIO())
    threads = [
        threading.Thread(target=lambda n=n: [LOGGER.info("t%d-%d end", n, i) for i in range(200)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = _lines(log)
    assert len(lines) == 1600
    assert all(line.endswith("end") for line in lines)
    assert log.dropped == 0


class _Stuck(logging.Handler):
    """A device that takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.unblocked = threading.Event(), threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        self.unblocked.wait(10)
        self.lines.append(self.format(record))


@pytest.fixture
def stuck_log(monkeypatch):
    """Return a log with room for four lines whose device is stuck with the first."""
    monkeypatch.setattr(module, "QUEUE_SIZE", 4)
    device = _Stuck()
    log = AgentLog(TextFormatter(), [device])
    log.attach("INFO")
    LOGGER.info("first")
    assert device.entered.wait(5)
    yield log, device
    device.unblocked.set()
    log.close()


def test_stuck_device_never_holds_up_the_caller(stuck_log):
    log, device = stuck_log
    for number in range(10):
        LOGGER.info("line %d", number)  # would hang here
    assert log.dropped == 6
    device.unblocked.set()


def test_dropped_lines_are_announced_once_there_is_room(stuck_log):
    log, device = stuck_log
    for number in range(10):
        LOGGER.info("line %d", number)
    device.unblocked.set()
    log.close()
    announced = [line for line in device.lines if "6 lines were dropped" in line]
    assert len(announced) == 1
    assert "[WARNING]" in announced[0]
    assert len(device.lines) == 6


def test_stop_is_bounded_when_the_device_stays_stuck(stuck_log, monkeypatch):
    log, _ = stuck_log
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.05)
    for number in range(10):
        LOGGER.info("line %d", number)
    log._writer.stop()  # returns although nothing can be written


def test_close_gives_the_root_logger_back(start):
    before = list(logging.getLogger().handlers)
    start().close()
    assert logging.getLogger().handlers == before


def test_unusable_directory_falls_back_to_the_state_directory(start, tmp_path):
    (tmp_path / "file").write_text("in the way")
    log = start(log_path=tmp_path / "file")
    assert log.path is not None
    assert log.path.parent == tmp_path / "state" / "logs"
    assert "is unusable" in _lines(log)[0]


def test_console_alone_remains_when_no_directory_is_usable(start, tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "state").write_text("in the way too")
    console = io.StringIO()
    log = start(log_path=tmp_path / "file", console=console)
    LOGGER.info("still heard")
    log.close()
    assert log.path is None
    assert "still heard" in console.getvalue()


def test_second_agent_writes_elsewhere(start, tmp_path):
    first, second = start(), start()
    assert (first.path.parent, second.path.parent) == (
        tmp_path / "logs",
        tmp_path / "state" / "logs",
    )


def test_sub_process_appends_to_the_same_file(start):
    log = start()
    code = (
        "import os, pathlib; from agent_client.logger import append_line;"
        "append_line(pathlib.Path(os.environ['DIALER_AGENT_LOG']), 'ERROR', 'from\\nchild')"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(child_environment(log)), check=True)
    (line,) = _lines(log)
    assert line.endswith("[ERROR] from\\nchild")


def test_append_line_says_no_when_it_cannot(tmp_path):
    assert not append_line(tmp_path / "missing" / "x.log", "INFO", "lost")


def test_unhandled_exceptions_reach_the_log(start, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    log = start()
    catch_unhandled(LOGGER)
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    sys.excepthook(KeyError, KeyError("k"), None)
    text = "\n".join(_lines(log))
    assert "[CRITICAL] unhandled ZeroDivisionError in thread worker" in text
    assert "[CRITICAL] unhandled KeyError" in text


def test_queue_is_bounded(start):
    assert isinstance(start()._entrance.lines, queue.Queue)
    assert start()._entrance.lines.maxsize == module.QUEUE_SIZE
