"""The form of a probe: what all share, then the settings its kind declares.

The settings come from `agent_client.protocol.probe_kinds`, so a new kind needs no form of
its own. The services have the last word; their errors stand beside the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agent_client.protocol import probe_kinds
from agent_client.protocol.probe_kinds import Field
from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.errors import DomainError
from tasks.probes.choices import Policy
from tasks.probes.models import Probe

PREFIX = "config-"
COMMON = (
    "name",
    "target",
    "interval",
    "timeout",
    "agents",
    "labels",
    "tags",
    "policy",
    "fail_threshold",
    "recover_threshold",
    "parents",
    "enabled",
)
MAX_CHOICES = 500


class WordsField(forms.CharField):
    """A list of words, by comma or line."""

    def to_python(self, value: Any) -> Any:
        """Return the list."""
        text = (value or "").replace("，", ",").replace("\n", ",")
        return [part.strip() for part in text.split(",") if part.strip()]

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a list."""
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def validate(self, value: Any) -> None:
        """Accept: the service judges."""

    def run_validators(self, value: Any) -> None:
        """Accept: the service judges."""


class PairsField(WordsField):
    """Names and texts: one pair per line or comma, with `=` or, for headers, `:`."""

    def __init__(self, *args: Any, separator: str = "=", **kwargs: Any) -> None:
        """Remember what stands between name and text."""
        super().__init__(*args, **kwargs)
        self.separator = separator

    def to_python(self, value: Any) -> Any:
        """Return the dictionary."""
        text = value or ""
        # A header may hold commas; labels are short and often written on one line.
        lines = text.splitlines() if self.separator == ":" else super().to_python(text)
        pairs = [line.partition(self.separator) for line in lines if line.strip()]
        return {name.strip(): word.strip() for name, _sep, word in pairs}

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a dictionary."""
        if not isinstance(value, Mapping):
            return value
        glue, join = (": ", "\n") if self.separator == ":" else ("=", ", ")
        return join.join(f"{name}{glue}{word}" for name, word in value.items())


class AnyField(forms.CharField):
    """A text, or a number, true, false or null written as in JSON; empty is nothing."""

    def to_python(self, value: Any) -> Any:
        """Return what was meant."""
        text = (value or "").strip()
        if not text:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            return text
        return text if isinstance(found, dict | list) else found

    def validate(self, value: Any) -> None:
        """Accept: the service judges."""

    def run_validators(self, value: Any) -> None:
        """Accept: the service judges."""


class ProbeForm(forms.Form):
    """One probe of one kind."""

    use_required_attribute = False

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    target = forms.CharField(label=gettext_lazy("Target"), max_length=2_000)
    interval = forms.IntegerField(
        label=gettext_lazy("Interval (s)"), min_value=1, max_value=86_400, initial=60
    )
    timeout = forms.FloatField(
        label=gettext_lazy("Time limit (s)"),
        required=False,
        min_value=0,
        help_text=gettext_lazy("Empty: half of the interval, at most 10 seconds."),
    )
    agents = forms.MultipleChoiceField(
        label=gettext_lazy("Agents"), required=False, widget=forms.CheckboxSelectMultiple
    )
    labels = PairsField(label=gettext_lazy("Agent labels"), required=False)
    tags = WordsField(label=gettext_lazy("Tags"), required=False)
    policy = forms.ChoiceField(
        label=gettext_lazy("Down when seen so by"), choices=Policy.choices, initial=Policy.MAJORITY
    )
    fail_threshold = forms.IntegerField(
        label=gettext_lazy("Failures in a row"), min_value=1, max_value=100, initial=2
    )
    recover_threshold = forms.IntegerField(
        label=gettext_lazy("Successes in a row"), min_value=1, max_value=100, initial=1
    )
    parents = forms.MultipleChoiceField(
        label=gettext_lazy("Keeps quiet while one of these is down"), required=False
    )
    enabled = forms.BooleanField(label=gettext_lazy("Enabled"), required=False, initial=True)

    def __init__(
        self, *args: Any, kind: str, principal: Principal, probe: Probe | None = None, **kwargs: Any
    ) -> None:
        """Add the settings of the kind and the choices of the tenant."""
        super().__init__(*args, **kwargs)
        self.kind = kind
        self.spec = probe_kinds.SPECS[kind]
        self.settings = probe_kinds.fields(kind)
        self.stored = dict(probe.config) if probe else {}
        for setting in self.settings:
            self.fields[f"{PREFIX}{setting.name}"] = field_of(setting, is_stored=bool(self.stored))
        self.fields["target"].help_text = _(self.spec.target_help)
        self.fields["agents"].choices = _agents(principal)  # type: ignore[attr-defined]
        self.fields["parents"].choices = _others(principal, probe)  # type: ignore[attr-defined]
        for name, field in self.fields.items():
            _dress(name, field)

    @property
    def setting_fields(self) -> list[forms.BoundField]:
        """Return the fields of the kind's own settings."""
        return [self[f"{PREFIX}{setting.name}"] for setting in self.settings]

    @property
    def request_fields(self) -> dict[str, Any]:
        """Return the valid form as the services want it; settings at their default are left out."""
        fields: dict[str, Any] = {name: self.cleaned_data[name] for name in COMMON}
        fields["parents"] = [int(one) for one in fields["parents"]]
        return {**fields, "kind": self.kind, "config": self._config()}

    def _config(self) -> dict[str, Any]:
        """Return the settings that differ from their default; an empty secret keeps the old one."""
        config: dict[str, Any] = {}
        for setting in self.settings:
            value = self.cleaned_data[f"{PREFIX}{setting.name}"]
            if setting.secret and not value:
                value = self.stored.get(setting.name, "")
            if value is None or (value == "" and setting.type == "choice"):
                continue  # left empty: the default holds
            default = list(setting.default) if setting.type == "list" else setting.default
            if value != default:
                config[setting.name] = value
        return config

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            own = name.replace("config.", PREFIX, 1)
            self.add_error(own if own in self.fields else None, sentences)
        if not error.fields:
            self.add_error(None, error.detail)


def field_of(setting: Field, *, is_stored: bool = False) -> forms.Field:
    """Return the form's field of one setting of a kind."""
    common: dict[str, Any] = {
        "label": _(setting.label),
        "required": False,
        "help_text": _(setting.help) if setting.help else "",
        "initial": setting.default,
    }
    if setting.type == "boolean":
        return forms.BooleanField(**common)
    if setting.type == "choice":
        return forms.ChoiceField(
            choices=[(one, _("any") if one == "any" else one) for one in setting.choices], **common
        )
    if setting.type in ("integer", "number"):
        field = forms.IntegerField if setting.type == "integer" else forms.FloatField
        limits: dict[str, Any] = {"min_value": setting.minimum, "max_value": setting.maximum}
        return field(**limits, **common)
    if setting.type == "list":
        return WordsField(**common)
    if setting.type == "map":
        return PairsField(separator=":", widget=forms.Textarea(attrs={"rows": 2}), **common)
    if setting.type == "any":
        return AnyField(**common)
    return _text_field(setting, common, is_stored)


def initial_of(probe: Probe) -> dict[str, Any]:
    """Return what the form of a stored probe starts with; secrets stay where they are."""
    plain = {name: getattr(probe, name) for name in COMMON if name not in ("agents", "parents")}
    settings = {
        f"{PREFIX}{one.name}": probe.config.get(one.name, one.default)
        for one in probe_kinds.fields(probe.kind)
        if not one.secret
    }
    return {
        **plain,
        **settings,
        "agents": [agent.pk for agent in probe.agents.all()],
        "parents": [parent.pk for parent in probe.parents.all()],
    }


def _text_field(setting: Field, common: dict[str, Any], is_stored: bool) -> forms.Field:
    """Return the field of a text; what was typed stays as it is, blanks included."""
    if setting.secret:
        note = _("Empty keeps what is stored.") if is_stored else common["help_text"]
        widget: forms.Widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        return forms.CharField(widget=widget, strip=False, **{**common, "help_text": note})
    if setting.multiline:
        return forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), strip=False, **common)
    return forms.CharField(strip=False, max_length=setting.max_length, **common)


def _agents(principal: Principal) -> list[tuple[str, str]]:
    """Return the hosts of the tenant."""
    hosts = Agent.objects.visible_to(principal).hosts().enrolled().order_by("name", "id")
    return [(agent.pk, agent.name) for agent in hosts[:MAX_CHOICES]]


def _others(principal: Principal, probe: Probe | None) -> list[tuple[int, str]]:
    """Return the probes that this one may be behind."""
    rows = Probe.objects.visible_to(principal).order_by("name", "id").only("id", "name")
    others = rows.exclude(pk=probe.pk) if probe else rows
    return [(one.pk, f"#{one.pk} {one.name}") for one in others[:MAX_CHOICES]]


def _dress(name: str, field: forms.Field) -> None:
    """Give a field the console's class."""
    if not isinstance(field.widget, forms.CheckboxInput | forms.CheckboxSelectMultiple):
        field.widget.attrs |= {"class": "field", "spellcheck": "false"}
    if name == "target":
        field.widget.attrs |= {"autocomplete": "off", "autocapitalize": "none"}
