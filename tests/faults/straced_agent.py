"""An agent under strace, which fails one of its system calls for real.

`python -m tests.faults.straced_agent INJECT main …`, for example `fsync:error=EIO:when=3`.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Become the agent with strace beside it (-D); sub-agents and scripts are not traced."""
    inject, *words = sys.argv[1:]
    call = inject.split(":")[0]
    command = [
        "strace",
        "-D",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={inject}",
    ]
    os.execvp("strace", [*command, sys.executable, "-m", "agent_client", *words])


if __name__ == "__main__":
    main()
