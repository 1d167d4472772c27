"""Where the command line finds its server and its token.

`DIALER_URL` and `DIALER_TOKEN` (or `DIALER_TOKEN_FILE`) win over
`~/.config/dialer/client.json`, which holds `{"url": …, "token": …}` at its top or in a
section `client`. Never prints the token, and sends it unencrypted to this machine only,
unless `DIALER_ALLOW_PLAIN_HTTP=1` (in the file: `"allow_plain_http": true`) says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_client.addresses import is_exposed
from agent_client.errors import ConfigError

PLAIN_VARIABLE = "DIALER_ALLOW_PLAIN_HTTP"
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
DEFAULT_URL = "http://127.0.0.1:8000"
_NO_TOKEN_REMEDY = "Run `python manage.py token USER` on the server and set DIALER_TOKEN."  # noqa: S105


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Address of the server without a trailing slash, and the user's token."""

    url: str
    token: str = field(repr=False)


def load_client_settings(environ: Mapping[str, str]) -> ClientSettings:
    """Return the settings; raises ConfigError when one is missing or unusable."""
    path = _settings_path(environ)
    stored = _read(path)
    url = environ.get("DIALER_URL") or stored.get("url") or DEFAULT_URL
    token = environ.get("DIALER_TOKEN") or _token_file(environ) or stored.get("token") or ""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        origin = "DIALER_URL" if environ.get("DIALER_URL") else str(path)
        raise ConfigError("url", origin, "is not an http address", f"Write it as {DEFAULT_URL}.")
    _check_encryption(url, environ, stored)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ConfigError("token", str(path), "is not a token", _NO_TOKEN_REMEDY)
    if not token:
        raise ConfigError(
            "token", "DIALER_TOKEN", "is not set", _NO_TOKEN_REMEDY, code="credential_refused"
        )
    return ClientSettings(url.rstrip("/"), token)


def _check_encryption(url: str, environ: Mapping[str, str], stored: Mapping[str, Any]) -> None:
    """Refuse to send the token in clear to another machine, unless its owner wants it."""
    said = environ.get(PLAIN_VARIABLE, "").strip().lower()
    is_allowed = said in TRUE_WORDS if said else stored.get("allow_plain_http") is True
    if is_exposed(url) and not is_allowed:
        raise ConfigError(
            "url",
            "DIALER_URL" if environ.get("DIALER_URL") else str(_settings_path(environ)),
            f"{url} is not encrypted: whoever listens gets your token",
            f"Use https://. On a network you trust set {PLAIN_VARIABLE}=1.",
        )


def _settings_path(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(base) if base else home / ".config") / "dialer" / "client.json"


def _read(path: Path) -> Mapping[str, Any]:
    """Return the file's settings; a missing file has none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            str(path), "client file", f"cannot be read ({error})", "Correct or remove it."
        ) from None
    section = data.get("client", data) if isinstance(data, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(str(path), "client file", "holds no settings", "Correct or remove it.")
    return section


def _token_file(environ: Mapping[str, str]) -> str:
    name = environ.get("DIALER_TOKEN_FILE")
    if not name:
        return ""
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "token", "DIALER_TOKEN_FILE", f"{name} cannot be read ({error})", "Name a text file."
        ) from None
