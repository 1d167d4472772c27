"""The text of the installer for one server, and the one command that fetches and runs it.

The page that shows the command is read over the administrator's own session, so the hash
of the installer in it, and that of the wheel in the installer, reach from there to the
new host: what was changed on the way is not run.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from functools import cache
from pathlib import Path

from django.conf import settings

from agents.distribution import pip_archive, releases
from agents.distribution.releases import Release
from dialer_platform.launch import certificate

_SOURCES = Path("agent_client/upgrade")
_FUTURE = "from __future__ import annotations\n"
_OWN_IMPORT = re.compile(r"^from agent_client[.\w]* import \([^)]*\)\n", re.MULTILINE)
_FETCH = (
    "import hashlib,ssl,urllib.request as u\n"
    's=u.urlopen("{url}",context={context}).read()\n'
    'hashlib.sha256(s).hexdigest()=="{sha256}" or exit("The installer was changed on its way.")\n'
    "exec(s)"
)
_SHELL = """\
#!/bin/sh
# Finds a Python that can run the agent and hands the installer to it.
for python in ${{PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}}; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
  exec "$python" -P - "$@" <<'END_OF_INSTALLER'
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
        f"{release.sha256!r}, {release.version!r}, {pip_archive.sha256()!r})"
    )
    return f"{_program()}\n\nraise SystemExit({call})\n"


@cache
def _program() -> str:
    """Return the agent's own texts as one program: the layout of versions, then the steps."""
    folder = settings.BASE_DIR / _SOURCES
    layout, steps = (
        (folder / name).read_text(encoding="utf-8") for name in ("versions.py", "install_agent.py")
    )
    # One file may import itself no more than it may repeat what has to stand at its top.
    return layout + "\n\n" + _OWN_IMPORT.sub("", steps).replace(_FUTURE, "", 1)


def shell_installer(server: str, release: Release) -> str:
    """Return the same as a shell script that finds a Python first."""
    return _SHELL.format(program=python_installer(server, release))


def install_command(
    server: str, release: Release, token: str, *, fingerprint: str = "", is_plain: bool = False
) -> str:
    """Return the one command for a new host; it needs Python and nothing else.

    is_plain has the agent accept that its way to the server is not encrypted.

    fingerprint pins the server's own certificate, which no authority has signed. It is the
    agent that checks it, before it sends the token; what is fetched here is proven by hash.
    """
    digest = hashlib.sha256(python_installer(server, release).encode()).hexdigest()
    fetch = _FETCH.format(
        url=f"{server}/agent/install.py",
        sha256=digest,
        context="ssl._create_unverified_context()" if fingerprint else "None",
    )
    program = shlex.quote(fetch.replace(chr(10), ";"))
    pin = f" --server-fingerprint {fingerprint}" if fingerprint else ""
    plain = " --allow-plain-http" if is_plain else ""
    return f"DIALER_ENROLL_TOKEN={token} python3 -c {program}{pin}{plain}"


def command_for(server: str, token: str) -> str:
    """Return the command for the present release, pinned where the server has its own TLS."""
    own = certificate.load(settings.TLS_CERT, settings.TLS_KEY)
    is_own = own is not None and server.startswith("https:")
    fingerprint = own.fingerprint if own and is_own else ""
    return install_command(
        server,
        releases.current(),
        token,
        fingerprint=fingerprint,
        # Who runs the server in clear on purpose has decided it for the hosts as well.
        is_plain=settings.ALLOW_PLAIN_HTTP and server.startswith("http:"),
    )
