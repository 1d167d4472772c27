"""Reading what other probers are configured by: a blackbox_exporter module file."""

from __future__ import annotations

from typing import Any

import yaml
from django.utils.translation import gettext as _

from agent_client.protocol.plain_yaml import load_plain
from agent_client.protocol.probe_kinds import blackbox
from dialer_platform.errors import Invalid, TooLarge

MAX_FILE_BYTES = 1024 * 1024
MAX_MODULES = 500


def read_modules(data: bytes) -> dict[str, Any]:
    """Return kind and configuration of each module, and what of it could not be carried over.

    Raises Invalid for what is no such file, TooLarge beyond 1 MiB. Stores nothing.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TooLarge(_("The file is larger than 1 MiB."))
    try:
        found = blackbox.modules(load_plain(data.decode()))
    # The file is a stranger's: whatever its values are, they end as a sentence.
    except (
        yaml.YAMLError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        sentence = _("This is no blackbox_exporter file: %(why)s") % {"why": str(error)[:200]}
        raise Invalid(sentence) from error
    if len(found) > MAX_MODULES:
        raise Invalid(_("At most %(limit)d modules.") % {"limit": MAX_MODULES})
    return {
        "modules": [
            {
                "name": one.name,
                "kind": one.kind,
                "timeout": one.timeout or None,
                "config": one.config,
                "lost": list(one.lost),
            }
            for one in found
        ]
    }
