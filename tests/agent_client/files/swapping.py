"""Somebody who turns a directory into a link and back while others work in it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path


def while_links_swap(inner: Path, outside: Path, work: Callable[[], None]) -> int:
    """Do the work while a thread swaps `inner` for a link to `outside`; returns how often."""
    done, swaps = threading.Event(), 0
    failures: list[OSError] = []
    aside = inner.parent.parent / "aside"

    def swap() -> None:
        nonlocal swaps
        try:
            while not done.is_set():
                swaps += _swap_once(inner, aside, outside)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]  # from then on nobody raced
    return swaps


def _swap_once(inner: Path, aside: Path, outside: Path) -> bool:
    """Put a link in a directory's place and take it away; both may be made anew meanwhile."""
    try:
        inner.rename(aside)
    except OSError:
        return False  # It is not there just now.
    with contextlib.suppress(OSError):
        inner.symlink_to(outside)
    while aside.exists():
        with contextlib.suppress(OSError):
            if inner.is_symlink():
                inner.unlink()
        if not inner.parent.exists():
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(inner, ignore_errors=True)
        with contextlib.suppress(OSError):
            aside.rename(inner)
    return True
