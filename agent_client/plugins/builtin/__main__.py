"""Runs one built-in plug-in: python -I __main__.py <name>."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # By its own path: started outside any directory that Python would look into.
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agent_client.plugins import sdk
from agent_client.plugins.builtin import MODULES


def main(name: str) -> None:
    """Import the plug-in of that name and serve the agent."""
    sdk.run(importlib.import_module(MODULES[name]).Plugin())


if __name__ == "__main__":
    main(sys.argv[1])
