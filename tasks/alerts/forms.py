"""Forms of channels and rules; the services have the last word."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from dialer_platform.errors import DomainError
from tasks.alerts.choices import ChannelKind, Event
from tasks.alerts.models import Channel, Rule
from tasks.alerts.services.rules import LIMITS


class ServiceForm(forms.Form):
    """A form whose errors come from a service as well."""

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Give the fields the console's class."""
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            is_box = isinstance(
                field.widget, forms.CheckboxInput | forms.CheckboxSelectMultiple | forms.RadioSelect
            )
            if not is_box:
                field.widget.attrs["class"] = "field"

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, sentences)
        if not error.fields:
            self.add_error(None, error.detail)


class ChannelForm(ServiceForm):
    """Name, kind and address; the address comes back empty, because it is never shown."""

    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(label=_("Kind"), choices=ChannelKind.choices)
    address = forms.CharField(
        label=_("Address"),
        max_length=2_000,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    secret = forms.CharField(
        label=_("Signing secret"),
        max_length=500,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("For DingTalk, Feishu and signed webhooks; may stay empty."),
    )
    is_enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)


class LabelsField(forms.CharField):
    """Labels as people write them: "team=web, site=a"."""

    def to_python(self, value: Any) -> Any:
        """Return a dictionary."""
        parts = [part.strip() for part in (value or "").replace("，", ",").split(",")]
        pairs = [part.partition("=") for part in parts if part]
        return {name.strip(): word.strip() for name, _, word in pairs}

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a dictionary."""
        if not isinstance(value, dict):
            return value
        return ", ".join(f"{name}={word}" if word else name for name, word in value.items())

    def validate(self, value: Any) -> None:
        """Accept: the service judges."""

    def run_validators(self, value: Any) -> None:
        """Accept: the service judges."""


def _seconds(name: str, label: Any, initial: int, help_text: Any = "") -> forms.IntegerField:
    """Return a field of whole seconds within the service's limits."""
    low, high = LIMITS[name]
    return forms.IntegerField(
        label=label, min_value=low, max_value=high, initial=initial, help_text=help_text
    )


class RuleForm(ServiceForm):
    """What is told to whom, and how soon."""

    name = forms.CharField(label=_("Name"), max_length=100)
    events = forms.MultipleChoiceField(
        label=_("Tell about"),
        choices=Event.choices,
        initial=[Event.PROBE_DOWN, Event.AGENT_LOST, Event.CERTIFICATE],
        widget=forms.CheckboxSelectMultiple,
    )
    channels = forms.ModelMultipleChoiceField(
        label=_("Channels"),
        queryset=Channel.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    name_contains = forms.CharField(
        label=_("Only names that contain"), max_length=100, required=False
    )
    labels = LabelsField(
        label=_("Only with labels"),
        required=False,
        help_text=_("Like team=web, site=a; a probe's tags count as its labels."),
    )
    min_duration_seconds = _seconds(
        "min_duration_seconds", _("Only after (s)"), 0, _("How long it must have lasted.")
    )
    group_seconds = _seconds(
        "group_seconds", _("Collect for (s)"), 5, _("What comes within leaves as one message.")
    )
    renotify_seconds = _seconds("renotify_seconds", _("Remind every (s)"), 0, _("0 never reminds."))
    certificate_days = _seconds("certificate_days", _("Certificate days left"), 14)
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    tells_recovery = forms.BooleanField(label=_("Tell recovery too"), required=False, initial=True)
    is_enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, channels: QuerySet[Channel], **kwargs: Any) -> None:
        """Offer the channels of the tenant."""
        super().__init__(*args, **kwargs)
        self.fields["channels"].queryset = channels  # type: ignore[attr-defined]


def initial_of(rule: Rule) -> dict[str, Any]:
    """Return what the form of a rule starts with."""
    plain = {name: getattr(rule, name) for name in RuleForm.base_fields if name != "channels"}
    return {**plain, "channels": list(rule.channels.all())}
