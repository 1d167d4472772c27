"""Translations: compiles the .po files of the console where the .mo is missing or older.

Owns `dialer_platform/locale`. The .mo files are build products and not kept in git;
polib compiles them, so that no gettext tools are needed. Never fails a start: a
read-only installation goes on in English and says so once in the log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import polib
from django.conf import settings

logger = logging.getLogger(__name__)


def compile_catalogues(directories: Iterable[Path] | None = None) -> int:
    """Compile what is out of date below the locale directories; returns how many files."""
    count = 0
    for directory in settings.LOCALE_PATHS if directories is None else directories:
        for source in sorted(Path(directory).glob("*/LC_MESSAGES/*.po")):
            if _is_out_of_date(source):
                count += _compile(source)
    return count


def _is_out_of_date(source: Path) -> bool:
    """Return whether the compiled file is missing or older than its source."""
    target = source.with_suffix(".mo")
    return not target.exists() or target.stat().st_mtime < source.stat().st_mtime


def _compile(source: Path) -> bool:
    """Compile one file by way of a draft, so that parallel starts never read half of it."""
    draft = source.with_suffix(f".mo.{os.getpid()}")
    try:
        polib.pofile(str(source)).save_as_mofile(str(draft))
        draft.replace(source.with_suffix(".mo"))
    except OSError:
        logger.warning("translations not compiled", extra={"data": {"file": str(source)}})
        return False
    return True
