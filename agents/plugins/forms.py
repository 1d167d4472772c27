"""Forms of plug-ins: fields for what comes with the agent, JSON for all others.

The agent has the last word on a configuration and says in the plug-in's state what is
wrong with it; a form only turns texts into the right shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents.plugins.choices import (
    BUILT_IN,
    DEFAULT_INTERVAL_SECONDS,
    MAX_CONFIG_BYTES,
    MAX_INTERVAL_SECONDS,
    MIN_INTERVAL_SECONDS,
)
from agents.plugins.models import AgentPlugin, PluginPackage
from agents.plugins.services import Change
from dialer_platform.errors import DomainError

MAX_TEXT_CHARACTERS = 8_000


class Lines(forms.CharField):
    """A list of texts, one per line."""

    def __init__(self, **options: Any) -> None:
        """Be optional and three lines high."""
        widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
        super().__init__(required=False, widget=widget, max_length=MAX_TEXT_CHARACTERS, **options)

    def clean(self, value: Any) -> list[str]:
        """Return the lines that are not empty."""
        text = super().clean(value)
        return [line.strip() for line in text.splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines."""
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value


def _fields_of(name: str) -> dict[str, forms.Field]:
    """Return the fields of a built-in plug-in's configuration."""
    if name == "cpu":
        return {"per_core": forms.BooleanField(label=_("Each core by itself, too"), required=False)}
    if name == "disk":
        return {"mounts": Lines(label=_("Mount points"), help_text=_("One per line; none: all."))}
    if name == "network":
        return {
            "interfaces": Lines(
                label=_("Interfaces"), help_text=_("One per line; none: all but the loopback.")
            )
        }
    return _log_tail_fields() if name == "log_tail" else {}


def _log_tail_fields() -> dict[str, forms.Field]:
    """Return the fields of log_tail."""
    return {
        "paths": Lines(
            label=_("Files"),
            help_text=_("Absolute paths, one per line; the host's policy file limits them."),
        ),
        "include": Lines(
            label=_("Only lines that match"), help_text=_("Regular expressions; none: all lines.")
        ),
        "exclude": Lines(label=_("No lines that match")),
        "lines_per_second": forms.IntegerField(
            label=_("Lines a second at most"), required=False, min_value=1, max_value=1_000
        ),
        "from_start": forms.BooleanField(
            label=_("Begin at the start of the files"), required=False
        ),
    }


class PluginForm(forms.Form):
    """How often a plug-in measures, and what it is told."""

    interval_seconds = forms.FloatField(
        label=_("Seconds between two measurements"),
        min_value=MIN_INTERVAL_SECONDS,
        max_value=MAX_INTERVAL_SECONDS,
    )

    def __init__(
        self,
        name: str,
        row: AgentPlugin | None,
        packages: Sequence[PluginPackage],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with what the host has; packages are those of this plug-in."""
        config = dict(row.config) if row else {}
        initial: dict[str, Any] = {
            # Without the .0 of a whole number, which nobody typed.
            "interval_seconds": f"{row.interval_seconds if row else DEFAULT_INTERVAL_SECONDS:g}"
        }
        super().__init__(data, initial=initial)
        self._config = config
        self._known = _fields_of(name)
        for field_name, field in self._known.items():
            self.fields[field_name] = field
            self.initial[field_name] = config.get(field_name)
        if name not in BUILT_IN:
            self._add_foreign(row, packages, config)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput):
                field.widget.attrs |= {"class": "field", "autocomplete": "off"}

    def to_change(self) -> Change:
        """Return what the form says; fields of the configuration it does not show stay."""
        said = self.cleaned_data
        if "config" in said:
            config = said["config"]
        else:
            shown = {name: said[name] for name in self._known if said[name] not in (None, "", [])}
            hidden = {name: v for name, v in self._config.items() if name not in self._known}
            config = hidden | shown
        package = said.get("package")
        return Change(
            enabled=True,
            interval_seconds=said["interval_seconds"],
            config=config,
            package_id=int(package) if package else None,
        )

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, list(sentences))
        if not error.fields:
            self.add_error(None, error.detail)

    def _add_foreign(
        self, row: AgentPlugin | None, packages: Sequence[PluginPackage], config: dict[str, Any]
    ) -> None:
        """Add the fields of a plug-in that does not come with the agent."""
        choices = [(str(one.pk), one.version) for one in packages]
        self.fields["package"] = forms.ChoiceField(label=_("Version"), choices=choices)
        self.initial["package"] = str(row.package_id) if row and row.package_id else None
        self.fields["config"] = forms.JSONField(
            label=_("Configuration"),
            help_text=_("JSON; the plug-in says what it understands."),
            widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
            required=False,
        )
        self.initial["config"] = config

    def clean_config(self) -> dict[str, Any]:
        """Return the configuration as an object."""
        config = self.cleaned_data.get("config") or {}
        if not isinstance(config, dict) or len(json.dumps(config)) > MAX_CONFIG_BYTES:
            raise forms.ValidationError(_("Write a JSON object of at most 32 KiB."))
        return config


class UploadForm(forms.Form):
    """A package and its signature."""

    file = forms.FileField(label=_("Package (.tar.gz)"))
    signature = forms.CharField(
        label=_("Signature"),
        max_length=120,
        help_text=_("Base64: the text of the .sig file that plugin-pack writes."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        """Give the fields their looks."""
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs |= {"class": "field", "autocomplete": "off"}

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, list(sentences))
        if not error.fields:
            self.add_error(None, error.detail)
