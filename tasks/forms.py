"""The new-task form: turns what was typed into the fields that the submission takes.

The sentences about wrong values come from the services, so that page and API say the same.
Owns no rule of its own but how values are typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from dialer_platform.accounts.principal import Principal
from dialer_platform.console.wording import size
from dialer_platform.errors import DomainError
from tasks import form_values
from tasks.choices import ScriptType
from tasks.services.validation import clean_new

MB = 1024 * 1024
GPU_MEMORY_CHOICES_GB = (2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80)
PASSED_ON = (
    "name",
    "template_type",
    "script_type",
    "priority",
    "cpu_cores",
    "gpu_count",
    "gpu_memory",
    "agent_id",
    "working_dir",
    "run_as",
)
PARSERS: dict[str, Callable[[str], Any]] = {
    "depends_on": form_values.parse_ids,
    "labels": form_values.parse_labels,
    "env": form_values.parse_environment,
    "timeout": form_values.parse_length,
    "limits": form_values.parse_limits,
}
FORMATTERS: dict[str, Callable[[Any], str]] = {
    "depends_on": form_values.format_ids,
    "labels": form_values.format_labels,
    "env": form_values.format_environment,
    "timeout": form_values.format_length,
    "limits": form_values.format_labels,
}


def _text(widget: forms.Widget, label: Any, **options: Any) -> forms.CharField:
    """Return a field that takes any text; the services judge it."""
    return forms.CharField(widget=widget, label=label, required=False, **options)


def _line(placeholder: Any = "", **attributes: Any) -> forms.TextInput:
    """Return a one-line input."""
    return forms.TextInput(
        {"class": "field", "placeholder": placeholder, "autocomplete": "off", **attributes}
    )


def _number(**attributes: Any) -> forms.NumberInput:
    """Return an input of a whole number."""
    return forms.NumberInput({"class": "field", "inputmode": "numeric", "step": 1, **attributes})


class TaskForm(forms.Form):
    """All that can be asked of a task; `request_fields` holds it once the form is valid."""

    name = _text(_line(_("What it is, for the list"), maxlength=200, required=True), _("Name"))
    template_type = _text(
        _line(_("Choose or write your own"), maxlength=100, required=True, list="template-types"),
        _("Template type"),
    )
    script_type = forms.ChoiceField(
        choices=ScriptType.choices,
        label=_("Script type"),
        required=False,
        initial=ScriptType.SHELL,
        widget=forms.RadioSelect,
    )
    priority = _text(
        forms.NumberInput({"type": "range", "min": 1, "max": 5, "step": 1}),
        _("Priority"),
        initial="3",
    )
    cpu_cores = _text(_number(min=0, max=4096), _("CPU cores"), initial="1")
    gpu_count = _text(_number(min=0, max=64), _("GPUs"), initial="0")
    gpu_memory = forms.ChoiceField(
        label=_("GPU memory"),
        required=False,
        initial="0",
        widget=forms.Select({"class": "field"}),
    )
    depends_on = _text(_line("12, 14", inputmode="numeric"), _("Runs after"))
    agent_id = forms.ChoiceField(
        label=_("Agent"), required=False, widget=forms.Select({"class": "field"})
    )
    labels = _text(_line("gpu=a100, zone=lab"), _("Agent labels"))
    timeout = _text(_line(_("none, or 90s, 15m, 2h")), _("Time limit"))
    working_dir = _text(_line(_("a directory of its own")), _("Working directory"))
    run_as = _text(_line(_("the agent's own")), _("User on the host"))
    limits = _text(_line("memory_mb=4096, processes=100"), _("Limits"))
    env = _text(
        forms.Textarea(
            {"class": "field mono", "rows": 3, "placeholder": "NAME=value", "spellcheck": "false"}
        ),
        _("Environment"),
        strip=False,
    )
    merge_output = forms.BooleanField(
        label=_("Merge stdout and stderr in their exact order"), required=False
    )
    script_content = _text(
        forms.Textarea(
            {
                "class": "field code",
                "spellcheck": "false",
                "required": True,
                "aria-label": _("Script"),
            }
        ),
        _("Script"),
        strip=False,
    )

    def __init__(self, *args: Any, agents: list[tuple[str, str]], **kwargs: Any) -> None:
        """Offer these agents, as (id, label); a value that is not offered stays choosable."""
        super().__init__(*args, **kwargs)
        self.request_fields: dict[str, Any] = {}
        self._set_choices("agent_id", [("", _("any that fits")), *agents])
        sizes = [(str(gb * 1024), f"{gb} GB") for gb in GPU_MEMORY_CHOICES_GB]
        self._set_choices("gpu_memory", [("0", _("whole GPU")), *sizes])

    def clean(self) -> dict[str, Any]:
        """Collect everything that is wrong, from typing and from the rules of a task."""
        data = self.cleaned_data
        fields: dict[str, Any] = {
            name: data[name] for name in PASSED_ON if data.get(name) not in (None, "")
        }
        fields["name"] = data.get("name", "")
        fields["template_type"] = data.get("template_type", "")
        # Browsers send a textarea's lines with CR LF, which no shell can run.
        fields["script_content"] = data.get("script_content", "").replace("\r\n", "\n")
        fields["merge_output"] = data.get("merge_output", False)
        for name, parse in PARSERS.items():
            try:
                fields[name] = parse(data.get(name, ""))
            except ValueError as error:
                self.add_error(name, str(error))
        self._judge(fields)
        return data

    def add_domain_error(self, error: DomainError) -> None:
        """Show a refusal of the services beside the fields it names."""
        for name, sentences in error.fields.items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)
        if not error.fields:
            self.add_error(None, error.detail)

    def _judge(self, fields: dict[str, Any]) -> None:
        """Ask the services' own rules; keep the request when they agree."""
        try:
            cleaned = clean_new(fields)
        except DomainError as error:
            self.add_domain_error(error)
        else:
            self.request_fields = cleaned if not self.errors else {}

    def _set_choices(self, name: str, choices: list[tuple[str, Any]]) -> None:
        """Offer the choices and, if it is another one, the value the form came with."""
        value = str(self.data.get(name, "") if self.is_bound else self.initial.get(name) or "")
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        if value and value not in {key for key, _label in choices}:
            label = size(int(value) * MB) if name == "gpu_memory" and value.isdecimal() else value
            choices = [*choices, (value, label)]
        field.choices = choices


def initial_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's request as the form shows it."""
    return {
        name: FORMATTERS[name](value) if name in FORMATTERS else value
        for name, value in fields.items()
    }


def agent_choices(principal: Principal) -> list[tuple[str, str]]:
    """Return the hosts a task may be sent to, with what stands against them now."""
    hosts = Agent.objects.visible_to(principal).hosts().enrolled().order_by("name", "id")[:500]
    return [(host.id, f"{host.name} · {host.get_status_display()}") for host in hosts]
