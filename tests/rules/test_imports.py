"""The import rule: who may know whom."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.rules.source_tree import PACKAGES, ROOT, imports_of, name_of, python_files

FORBIDDEN = {
    "agents": ("tasks", "templates_app"),
    "templates_app": ("tasks", "agents"),
    "agent_client": (
        "dialer_platform",
        "agents",
        "tasks",
        "templates_app",
        "django",
        "rest_framework",
    ),
}
STANDARD_LIBRARY_ONLY = ("agent_client/sub_agent", "agent_client/protocol/frames.py")
IMPURE = {"asyncio", "datetime", "io", "os", "pathlib", "random", "secrets", "select", "shutil"}
IMPURE |= {"signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "uuid"}
"""What has a clock, chance, threads, files or a network: the protocol is told all of that."""
WIRING = {
    "dialer_platform/urls.py",
    "dialer_platform/asgi.py",
    "dialer_platform/runtime.py",
}


def top(name: str) -> str:
    """Return the first part of a dotted name."""
    return name.partition(".")[0]


def package_of(path: Path) -> str:
    """Return the package a module belongs to."""
    return path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_package_imports_nothing_forbidden(package: str) -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        if package_of(path) == package
        for name in imports_of(path)
        if top(name) in FORBIDDEN[package]
    ]
    assert not wrong


def test_server_takes_only_the_protocol_from_the_agent() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        if package_of(path) != "agent_client"
        for name in imports_of(path)
        if top(name) == "agent_client" and not name.startswith("agent_client.protocol")
    ]
    assert not wrong


def test_shared_platform_code_imports_no_app_but_where_it_wires() -> None:
    apps = set(PACKAGES) - {"dialer_platform", "agent_client"}
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        if package_of(path) == "dialer_platform"
        and name_of(path) not in WIRING
        and "management" not in path.parts
        for name in imports_of(path)
        if top(name) in apps
    ]
    assert not wrong


def test_sub_agent_uses_the_standard_library_only() -> None:
    allowed = sys.stdlib_module_names
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        if name_of(path).startswith(STANDARD_LIBRARY_ONLY)
        for name in imports_of(path)
        if top(name) not in allowed
        and not name.startswith(("agent_client.sub_agent", "agent_client.protocol.frames"))
        and name not in ("agent_client.protocol", "agent_client")
    ]
    assert not wrong


def test_protocol_knows_no_socket_clock_thread_or_file() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        if name_of(path).startswith("agent_client/protocol/")
        for name in imports_of(path)
        if top(name) in IMPURE
    ]
    assert not wrong


def test_only_the_relay_touches_the_channel_layer() -> None:
    wrong = [
        name_of(path)
        for path in python_files()
        if any(name.startswith("channels.layers") for name in imports_of(path))
        and path.name != "relay.py"
    ]
    assert not wrong


def test_only_serving_knows_the_web_server() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in python_files()
        for name in imports_of(path)
        if top(name) in {"daphne", "twisted", "autobahn"} and "serving" not in name_of(path)
    ]
    assert not wrong
