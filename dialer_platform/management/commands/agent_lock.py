"""`manage.py agent_lock`: writes anew which files the agent's packages may be, by digest.

For whoever changes a pin in agent_client/pyproject.toml; asks the public package index.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.distribution.wheel import LOCK, PACKAGE

INDEX = "https://pypi.org/simple/{name}/"
ACCEPT = "application/vnd.pypi.simple.v1+json"
OLDEST_MINOR = 11
_HEAD = "# Written by `make agent-lock`: wheels for Linux, of what pyproject.toml pins.\n"

Fetch = Callable[[str], list[dict[str, Any]]]


def lock(pins: list[str], fetch: Fetch) -> str:
    """Return the lock for pins like "idna==3.20"; raises ValueError for one without a wheel."""
    lines = [_HEAD]
    for pin in sorted(pins, key=str.lower):
        name, version = pin.split("==")
        digests = sorted(set(_digests(fetch(name), version)))
        if not digests:
            raise ValueError(f"The index has no wheel of {pin} for Linux.")
        lines.append(" \\\n".join([pin, *(f"    --hash=sha256:{one}" for one in digests)]) + "\n")
    return "".join(lines)


def _digests(files: list[dict[str, Any]], version: str) -> Iterator[str]:
    """Yield the digests of a version's wheels that some Linux host of the agent could use."""
    for file in files:
        parts = str(file["filename"]).removesuffix(".whl").split("-")
        if file["filename"].endswith(".whl") and parts[1] == version and _fits(*parts[-3:]):
            yield file["hashes"]["sha256"]


def _fits(python: str, abi: str, platform: str) -> bool:
    """Return whether a wheel with these tags is for Linux and a Python new enough."""
    if platform != "any" and "linux" not in platform:
        return False
    is_one_version = abi.startswith("cp") or python.startswith("pp")
    return not is_one_version or (
        python.startswith("cp3") and int(python[3:] or 0) >= OLDEST_MINOR and not abi.endswith("t")
    )


def fetch_from_index(name: str) -> list[dict[str, Any]]:
    """Return what the public index has of a package; raises requests.RequestException."""
    url = INDEX.format(name=name.lower().replace("_", "-"))
    answer = requests.get(url, headers={"Accept": ACCEPT}, timeout=30)
    answer.raise_for_status()
    files: list[dict[str, Any]] = answer.json()["files"]
    return files


class Command(BaseCommand):
    """Writes agent_client/requirements.lock."""

    help = "Write anew the digests of the packages that the agent's wheel pins."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file; raises CommandError when the index cannot be used."""
        folder = settings.BASE_DIR / PACKAGE
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        try:
            text = lock(project["project"]["dependencies"], fetch_from_index)
        except (ValueError, requests.RequestException) as error:
            raise CommandError(str(error)) from error
        (folder / LOCK).write_text(text, encoding="utf-8")
        self.stdout.write(f"{folder / LOCK}")
