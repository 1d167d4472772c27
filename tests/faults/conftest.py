"""Installations of the fault tests."""

from tests.e2e.conftest import own_stack, stack

__all__ = ["own_stack", "stack"]
