"""A simulation says nothing of its own: a million lines of agents' logs help nobody."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def _silence():
    """Keep the logs of thousands of simulated agents out of memory."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
