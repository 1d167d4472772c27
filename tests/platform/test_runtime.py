"""Background services start once, in order, and stop in reverse."""

from __future__ import annotations

import importlib

import pytest


@pytest.fixture
def runtime(monkeypatch):
    """Return a fresh copy of the module, with no services."""
    from dialer_platform import runtime as original

    spec = importlib.util.spec_from_file_location("fresh_runtime", original.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "fresh_runtime", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def calls(runtime):
    """Register three services that write down what happens to them."""
    seen: list[str] = []
    for name in ("one", "two", "three"):
        runtime.register(
            name,
            lambda name=name: seen.append(f"+{name}"),
            lambda name=name: seen.append(f"-{name}"),
        )
    return seen


def test_services_start_in_order_and_only_once(runtime, calls):
    runtime.ensure_started()
    runtime.ensure_started()
    assert calls == ["+one", "+two", "+three"]


def test_services_stop_in_reverse(runtime, calls):
    runtime.ensure_started()
    calls.clear()
    runtime.stop()
    assert calls == ["-three", "-two", "-one"]


def test_nothing_stops_when_nothing_started(runtime, calls):
    runtime.stop()
    assert calls == []


def test_one_that_cannot_stop_keeps_no_other_running(runtime, calls):
    runtime.register("broken", lambda: None, lambda: 1 / 0)
    runtime.ensure_started()
    calls.clear()
    runtime.stop()
    assert calls == ["-three", "-two", "-one"]


def test_same_name_replaces_the_earlier_service(runtime, calls):
    runtime.register("two", lambda: calls.append("new"), lambda: None)
    runtime.ensure_started()
    assert calls == ["+one", "new", "+three"]
