"""The installation's secret key: made once, kept in the data directory, never shared."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

KEY_BYTES = 50


def load_or_create_secret_key(data_dir: Path) -> str:
    """Return the key in data_dir/secret_key, writing a new one (0600) when it is absent.

    Two processes may start at once: the link from a private file decides which key wins,
    and both read that one.
    """
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = data_dir / f".secret_key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # Another process was first; its key is the one.
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
