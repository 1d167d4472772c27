"""What else must go on before a server process is ready: checks that apps register.

A check looks at the memory of this process and answers at once; it asks no database.
"""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], bool]

_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add a check; the same name replaces the earlier one."""
    _checks[name] = check


def verdicts() -> dict[str, bool]:
    """Return what each check says now."""
    return {name: check() for name, check in _checks.items()}
