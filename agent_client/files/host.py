"""What the process of a transfer is told about its host, made by the main agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agent_client.config import AgentConfig
from agent_client.config_sources import file_candidates
from agent_client.throttle import LIMITS_FILE
from agent_client.transport.trust import Trust
from agent_client.upgrade.installation import HOME_VARIABLE

PACKAGE = Path(__file__).parents[2]
"""What stands here is imported: the directory of the package, not the package alone."""
SYSTEM_PREFIXES = frozenset({"/", "/usr", "/usr/local"})
"""Pythons of the system: who may write there needs no agent for it."""


def told_to_transfers(
    config: AgentConfig, *, roots: Mapping[str, str], trust: Trust
) -> dict[str, object]:
    """Return how transfers are run here, where they speak to, and what they may touch.

    roots are the policy's directories with their places (`files.places`).
    """
    return {
        "interpreter": sys.executable,
        "package": str(PACKAGE),
        "servers": config.connection.servers,
        "roots": dict(roots),
        "hidden": [
            str(one) for one in (config.state_dir, *own_files(config), *own_program(os.environ))
        ],
        "ca_file": str(trust.ca_file or ""),
        "fingerprint": trust.fingerprint,
        "limits_file": str(config.state_dir / LIMITS_FILE),
    }


def own_files(config: AgentConfig) -> Iterator[Path]:
    """Yield what decides at the next start what the agent does, also where it is not there yet.

    A server that could write one of them would have the last word, and not the host's owner.
    """
    yield from (one for one in (config.config_file, config.policy_file) if one is not None)
    # Unlike getcwd, this does not fail where the directory is gone.
    cwd = Path("/proc/self/cwd").readlink()
    yield from file_candidates(None, {}, cwd=cwd, home=Path.home()).usual


def own_program(
    environ: Mapping[str, str], *, prefixes: Iterable[str] = (sys.prefix, sys.base_prefix)
) -> Iterator[Path]:
    """Yield the directories of the code that the agent runs, wherever its state is.

    A server that could write there would run code on a host that allows it files alone.
    """
    if environ.get(HOME_VARIABLE):
        yield Path(environ[HOME_VARIABLE]).absolute()
    yield PACKAGE
    yield from (Path(one) for one in dict.fromkeys(prefixes) if one not in SYSTEM_PREFIXES)
