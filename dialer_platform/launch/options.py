"""Options of a command line that stand for settings, taken before the settings are read.

Much follows from the address: whether TLS is demanded, which names are answered, how long
browsers insist on https. So an option becomes the environment variable of its setting; as a
value beside the settings it would be believed by some of them only.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import MutableMapping, Sequence

VARIABLES = {"host": "DIALER_HOST", "port": "DIALER_PORT"}


def add_address(parser: ArgumentParser) -> None:
    """Declare --host and --port."""
    parser.add_argument("--host", help="address to listen on instead of DIALER_HOST")
    parser.add_argument("--port", type=int, help="port to listen on instead of DIALER_PORT")


def take_address(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Put --host and --port into the environment; leaves what it does not know to others.

    A port that is no number ends the process with a sentence, as any wrong option does.
    """
    parser = ArgumentParser(prog="manage.py serve", add_help=False)
    add_address(parser)
    known, _ = parser.parse_known_args(arguments)
    for option, variable in VARIABLES.items():
        value = getattr(known, option)
        if value is not None:
            environ[variable] = str(value)
