"""Reads YAML that a stranger wrote: plain data only, and never more of it than its text. Pure."""

from __future__ import annotations

from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    """Knows no aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias, compose everything else."""
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


def load_plain(text: str | bytes) -> Any:
    """Return the data of one document.

    Raises yaml.YAMLError, and what PyYAML lets out for values that are none: a ValueError
    for a date that there is not, an IndexError for an empty number, a KeyError for
    `!!bool x`, a RecursionError for what is nested too deeply.
    """
    return yaml.load(text, _PlainLoader)  # noqa: S506 - it is a safe one
