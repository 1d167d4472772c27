"""`main`: run the agent of this host until it is told to stop.

Loads the configuration, starts the log, hands over to the main agent and turns the way it
ended into an exit code. Never retries by itself: the service manager does.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from agent_client import __version__
from agent_client.catalogue import announce, resolve_language
from agent_client.commands.hidden_token import hide
from agent_client.config import AgentConfig, load_config
from agent_client.errors import AgentError, ConfigError, ExitCode
from agent_client.logger import catch_unhandled, setup_logging
from agent_client.upgrade.guard import guard_of_this_process

logger = logging.getLogger(__name__)


def overrides(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings that the command line gives, by dotted key."""
    return {
        "config_file": options.config,
        "connection.agent_server_url": options.server,
        "connection.ca_file": options.ca_file,
        "connection.server_fingerprint": options.server_fingerprint,
        "enroll_token": options.enroll,
        "identification.agent_name": options.name,
        "state_dir": options.state_dir,
        "language": options.language,
        "logging.log_mode": options.log_mode,
    }


def run(options: argparse.Namespace) -> int:
    """Run the agent and return its exit code; another version may go on in this process."""
    # First of all: from here on the process is to be seen for months.
    hide(options.enroll, arguments=sys.orig_argv, environment=os.environ)
    guard = guard_of_this_process()
    guard.begin()
    code = _run_configured(options)
    guard.ended(code)
    return code


def _run_configured(options: argparse.Namespace) -> int:
    """Run the agent with its settings and its log."""
    try:
        config = load_config(overrides(options), os.environ, Path.cwd())
    except ConfigError as error:
        print(f"agent_client: {error}", file=sys.stderr)
        return error.exit_code
    log = setup_logging(
        config.logging,
        state_dir=config.state_dir,
        language=resolve_language(config.language, os.environ),
    )
    try:
        code = _run_agent(
            config, reload=lambda: load_config(overrides(options), os.environ, Path.cwd())
        )
    finally:
        log.close()
    return code


def _run_agent(config: AgentConfig, *, reload: Callable[[], AgentConfig]) -> int:
    """Run the main agent with the log in place; every end leaves a line in it."""
    catch_unhandled(logger)
    for note in config.warnings:
        announce(logger, "setting_note", note=note)
    for server in config.connection.exposed_servers:
        announce(logger, "plain_http", server=server)
    announce(
        logger,
        "agent_starting",
        version=__version__,
        server=config.connection.agent_server_url,
        state=config.state_dir,
    )
    try:
        from agent_client.main_agent import setup_main_agent

        return setup_main_agent(config, reload=reload).run()
    except AgentError as error:
        announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.OK
    except Exception:  # the last line of defence: the log must say why the agent ended
        logger.exception("the agent ended by an unexpected error")
        return ExitCode.INTERNAL
    finally:
        announce(logger, "agent_stopped")
