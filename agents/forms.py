"""Forms of the agents page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents.labels import MAX_NAME_CHARACTERS, format_labels, parse_labels
from agents.models import Agent
from agents.rollout_plan import DEFAULT_STAGES
from dialer_platform.errors import DomainError

MAX_HOSTS_PER_TOKEN = 100


class EnrolmentForm(forms.Form):
    """How many hosts may join with one token; one when nothing is said."""

    uses = forms.IntegerField(min_value=1, max_value=MAX_HOSTS_PER_TOKEN, required=False)

    @property
    def max_uses(self) -> int:
        """Return the number of hosts."""
        return int(self.cleaned_data.get("uses") or 1)


class AgentChangeForm(forms.Form):
    """Name and labels of a host; the service has the last word."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME_CHARACTERS)
    labels = forms.CharField(
        label=_("Labels"), required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, agent: Agent, data: Mapping[str, Any] | None = None) -> None:
        """Begin with what the host has."""
        now = {"name": agent.name, "labels": format_labels(agent.given_labels)}
        super().__init__(data, initial=now)
        for field in self.fields.values():
            field.widget.attrs |= {"class": "field", "autocomplete": "off"}

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as pairs."""
        try:
            return parse_labels(self.cleaned_data.get("labels", ""))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, sentences)
        if not error.fields:
            self.add_error(None, error.detail)


class RolloutForm(forms.Form):
    """Which version goes to which hosts, in which stages; the service has the last word."""

    version = forms.ChoiceField(label=_("Version"))
    labels = forms.CharField(
        label=_("Hosts with these labels"),
        required=False,
        help_text=_("For example zone=lab; empty for all hosts."),
    )
    stages = forms.CharField(
        label=_("Stages"),
        initial=", ".join(DEFAULT_STAGES),
        help_text=_("Hosts that are done after each: a number or a share."),
    )
    soak_seconds = forms.IntegerField(
        label=_("Seconds a stage must be healthy"), initial=60, min_value=0, max_value=86_400
    )

    def __init__(self, versions: Sequence[str], data: Mapping[str, Any] | None = None) -> None:
        """Offer the versions that the server has."""
        super().__init__(data)
        version = self.fields["version"]
        if isinstance(version, forms.ChoiceField):
            version.choices = [(one, one) for one in versions]
        for field in self.fields.values():
            field.widget.attrs |= {"class": "field", "autocomplete": "off"}

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as pairs."""
        try:
            return parse_labels(self.cleaned_data.get("labels", ""))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_stages(self) -> list[str]:
        """Return the stages one by one; the service checks them."""
        return [one.strip() for one in self.cleaned_data["stages"].split(",") if one.strip()]

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, sentences)
        if not error.fields:
            self.add_error(None, error.detail)
