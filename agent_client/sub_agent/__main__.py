"""A sub-agent without zygote, where there is no fork server: one plain process per task.

python -I -S __main__.py <task directory> [<hint pipe>]
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from agent_client.sub_agent.sub_agent import run_task


def main(arguments: list[str]) -> None:
    """Run the task of a directory to its end."""
    hints = int(arguments[1]) if len(arguments) > 1 else None
    if hints is not None:
        os.set_inheritable(hints, False)
    run_task(arguments[0], hints=hints)


if __name__ == "__main__":
    main(sys.argv[1:])
