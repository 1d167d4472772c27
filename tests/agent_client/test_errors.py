"""The catalogue of codes and the three families."""

from __future__ import annotations

import re

import pytest

from agent_client.errors import (
    CATALOGUE,
    AgentError,
    ConfigError,
    ExitCode,
    Rejected,
    Retryable,
    Terminal,
)
from agent_client.protocol.error_codes import CODES


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_is_stable_and_has_sentence_and_remedy(code):
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[a-z][a-z_]+", code)
    assert entry.sentence.endswith(".")
    assert entry.remedy.endswith(".")


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (AgentError(), "internal", ExitCode.INTERNAL),
        (Retryable(), "server_unreachable", ExitCode.UNREACHABLE),
        (Terminal(code="credential_refused"), "credential_refused", ExitCode.REFUSED),
        (Rejected(), "request_refused", ExitCode.API),
        (Terminal(code="already_running"), "already_running", ExitCode.LOCKED),
        (Terminal(code="of_a_newer_version"), "of_a_newer_version", ExitCode.INTERNAL),
    ],
)
def test_error_knows_its_code_and_exit_code(error, code, exit_code):
    assert (error.code, error.exit_code) == (code, exit_code)


@pytest.mark.parametrize("code", CODES)
def test_code_of_the_server_has_its_own_remedy(code):
    error = Rejected("no", code=code)
    assert (error.entry.sentence, error.remedy) == (CODES[code].sentence, CODES[code].remedy)


def test_detail_is_the_catalogue_sentence_when_none_is_given():
    assert str(Retryable()) == "The server does not answer."
    assert str(Retryable("no route to host")) == "no route to host"


def test_retryable_keeps_the_wish_of_the_server():
    assert Retryable(retry_after_seconds=3.0).retry_after_seconds == 3.0


def test_config_error_carries_its_own_remedy():
    error = ConfigError("task.x", "default", "is odd", "Make it even.")
    assert error.remedy == "Make it even."
    assert str(error) == "task.x (default): is odd. Make it even."
