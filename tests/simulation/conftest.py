"""A simulation says nothing of its own: a million lines of agents' logs help nobody."""

from __future__ import annotations

import logging

import pytest

from agent_client import dispatch, runs


@pytest.fixture(autouse=True)
def _simulated_host(monkeypatch):
    """Ask the simulated tasks for their cores, and repeat without a real clock."""
    monkeypatch.setattr(runs, "_affinity", lambda task: getattr(task, "cpu_ids", ()))
    monkeypatch.setattr(dispatch, "REPEAT_SECONDS", 0)


@pytest.fixture(autouse=True)
def _silence():
    """Keep the logs of thousands of simulated agents out of memory."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
