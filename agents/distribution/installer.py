"""The text of the installer for one server, and the one command that fetches and runs it.

The page that shows the command is read over the administrator's own session, so the hash
of the installer in it, and that of the wheel in the installer, reach from there to the
new host: what was changed on the way is not run.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from agents.distribution.releases import Release

_PROGRAM = Path(__file__).with_name("install_agent.py")
_FETCH = (
    "import hashlib,urllib.request as u\n"
    's=u.urlopen("{url}").read()\n'
    'hashlib.sha256(s).hexdigest()=="{sha256}" or exit("The installer was changed on its way.")\n'
    "exec(s)"
)
_SHELL = """\
#!/bin/sh
# Finds a Python that can run the agent and hands the installer to it.
for python in ${{PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}}; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
  exec "$python" - <<'END_OF_INSTALLER'
{program}
END_OF_INSTALLER
done
echo "The agent was not installed: Python 3.11 or newer was not found." >&2
exit 1
"""


def python_installer(server: str, release: Release) -> str:
    """Return the installer as a Python program; server is the address without a last slash."""
    call = (
        f"install({server!r}, {'/agent/' + release.path.name!r}, "
        f"{release.sha256!r}, {release.version!r})"
    )
    return f"{_PROGRAM.read_text(encoding='utf-8')}\n\nraise SystemExit({call})\n"


def shell_installer(server: str, release: Release) -> str:
    """Return the same as a shell script that finds a Python first."""
    return _SHELL.format(program=python_installer(server, release))


def install_command(server: str, release: Release, token: str) -> str:
    """Return the one command for a new host; it needs Python and nothing else."""
    digest = hashlib.sha256(python_installer(server, release).encode()).hexdigest()
    fetch = _FETCH.format(url=f"{server}/agent/install.py", sha256=digest)
    return f"DIALER_ENROLL_TOKEN={token} python3 -c {shlex.quote(fetch.replace(chr(10), ';'))}"
