"""The way to open pages and to the other server processes, absent while there is no console."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


class _Silent:
    """Stands in for a part that is not installed: nobody listens."""

    def __getattr__(self, name: str) -> Any:
        """Return a function that does nothing."""
        return lambda *args, **kwargs: None


def _part(name: str) -> Any:
    """Return the console's module, or the silent stand-in."""
    return import_module(name) if find_spec(name) else _Silent()


live = _part("dialer_platform.console.live")
relay = _part("dialer_platform.console.relay")
