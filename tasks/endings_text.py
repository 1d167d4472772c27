"""How a task ended, as a sentence: exit codes and signals in words."""

from __future__ import annotations

import signal

from django.utils.translation import gettext as _

from tasks.choices import Reason, Status
from tasks.logs.files import reader
from tasks.models import Task

SHELL_SIGNAL_BASE = 128
"""A shell reports a child killed by signal n as exit code 128 + n."""
KILL_SIGNAL = 9
LAST_LINE_BYTES = 2_048


def end_sentence(task: Task) -> str:
    """Return how an ended task ended; "" for a completed one."""
    if task.status == Status.COMPLETED:
        return ""
    if task.reason == Reason.EXIT:
        return _transfer_sentence(task) if task.moves_a_file else _exit_sentence(task)
    sentence = _reason_sentence(task)
    is_name_told = task.reason == Reason.DEPENDENCY_FAILED
    detail = "" if is_name_told else task.reason_detail
    return f"{sentence} {detail}".strip()


def signal_name(number: int) -> str:
    """Return SIGKILL for 9, and so on; the number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return _("signal %(number)d") % {"number": number}


def exit_code_meaning(code: int) -> str:
    """Return what an exit code usually means, "" when it says nothing more."""
    if code == 126:
        return _("a command could not be executed")
    if code == 127:
        return _("a command was not found")
    if SHELL_SIGNAL_BASE < code <= SHELL_SIGNAL_BASE + 64:
        number = code - SHELL_SIGNAL_BASE
        name = signal_name(number)
        if number == KILL_SIGNAL:
            return _("a command was killed (%(signal)s), often for lack of memory") % {
                "signal": name
            }
        return _("a command was ended by %(signal)s") % {"signal": name}
    return ""


def _transfer_sentence(task: Task) -> str:
    """Say that a file was not moved; the last line of the log names the cause."""
    return _last_line(task) or _("The file was not moved; the log says why.")


def _last_line(task: Task) -> str:
    """Return the last line of a task's output, "" when there is none."""
    tail = reader(task.pk).tail(LAST_LINE_BYTES).data.decode(errors="replace")
    lines = [line.rstrip("\r").rpartition("\r")[2].strip() for line in tail.split("\n")]
    return next((line for line in reversed(lines) if line), "")


def _exit_sentence(task: Task) -> str:
    """Say with which code or by which signal the script ended by itself."""
    if task.exit_code is None:
        name = signal_name(task.signal or 0)
        return _("The script was ended by %(signal)s.") % {"signal": name}
    meaning = exit_code_meaning(task.exit_code)
    if meaning:
        return _("Exit code %(code)d: %(meaning)s.") % {
            "code": task.exit_code,
            "meaning": meaning,
        }
    return _("The script ended with exit code %(code)d.") % {"code": task.exit_code}


def _reason_sentence(task: Task) -> str:
    """Return the sentence of every other reason."""
    host = task.agent.name if task.agent else _("its host")
    person = task.cancel_requested_by or _("somebody on the host")
    return {
        Reason.USER_CANCEL: _("Canceled by %(person)s."),
        Reason.TIMEOUT: _("Stopped: its time limit was reached."),
        Reason.DEPENDENCY_FAILED: _(
            "Canceled, because a task it depends on did not complete: %(detail)s."
        ),
        Reason.START_FAILED: _("The script could not be started on %(host)s."),
        Reason.SUPERVISOR_LOST: _(
            "Its supervisor on %(host)s died; how the script ended is not known."
        ),
        Reason.HOST_REBOOT: _("%(host)s was restarted while it ran."),
        Reason.AGENT_LOST: _("Given up: %(host)s was silent for too long."),
        Reason.OUT_OF_MEMORY: _("Killed: out of memory on %(host)s."),
    }.get(Reason(task.reason), "") % {
        "person": person,
        "host": host,
        "detail": task.reason_detail,
    }
