"""What hinders the start of a task's process, in words for the person who can mend it."""

from __future__ import annotations


class StartError(Exception):
    """The script cannot be started; the text says why and what to do about it."""
