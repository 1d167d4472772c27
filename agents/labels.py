"""Names and labels of hosts: their limits, and labels as people type them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

MAX_NAME_CHARACTERS = 200
MAX_LABELS = 32
MAX_LABEL_CHARACTERS = 63


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels of "gpu=a100, zone=lab"; raises ValueError with what to write."""
    labels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in re.split(r"[,\n，]", text))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise ValueError(_("Write name=value: %(text)s") % {"text": part[:40]})
        labels[name] = value
    return labels


def format_labels(labels: Mapping[str, object]) -> str:
    """Return labels as parse_labels reads them."""
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def merged_labels(host: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return what matches: the labels of the host's own settings, below those people gave it."""
    return {**host, **given}


def label_errors(labels: Mapping[str, object]) -> dict[str, list[str]]:
    """Return what is wrong with labels, by field."""
    if len(labels) > MAX_LABELS:
        return {"labels": [f"At most {MAX_LABELS} labels."]}
    for key, value in labels.items():
        is_text = isinstance(key, str) and isinstance(value, str)
        if not is_text or not key or len(key) > MAX_LABEL_CHARACTERS:
            return {"labels": ["Labels are names with texts of at most 63 characters."]}
        if len(str(value)) > MAX_LABEL_CHARACTERS:
            return {"labels": ["Labels are names with texts of at most 63 characters."]}
    return {}


def name_errors(name: object) -> dict[str, list[str]]:
    """Return what is wrong with a host's name, by field."""
    if isinstance(name, str) and name.strip() and len(name) <= MAX_NAME_CHARACTERS:
        return {}
    return {"name": [f"Required, at most {MAX_NAME_CHARACTERS} characters."]}
