"""The form of a template; the service has the last word, this shows its errors beside the field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dialer_platform.errors import DomainError
from templates_app.models.template import ScriptType
from templates_app.services.templates import MAX_DESCRIPTION_CHARACTERS, MAX_NAME_CHARACTERS


class TemplateForm(forms.Form):
    """Name and script are enough."""

    use_required_attribute = False  # the editor hides the textarea, which then cannot be focused

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME_CHARACTERS)
    script_type = forms.ChoiceField(
        label=_("Language"),
        choices=ScriptType.choices,
        initial=ScriptType.SHELL,
        widget=forms.RadioSelect,
        required=False,
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=MAX_DESCRIPTION_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    script_content = forms.CharField(
        label=_("Script"), strip=False, widget=forms.Textarea, max_length=2 * 1024 * 1024
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Give the fields the console's classes and mark the wrong ones for screen readers."""
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["required"] = True
        for name in ("name", "description", "script_content"):
            self.fields[name].widget.attrs["class"] = "field"
        self.fields["script_content"].widget.attrs |= {
            "class": "field code",
            "spellcheck": "false",
            "autocapitalize": "none",
            "aria-label": str(_("Script")),
        }

    def clean_script_type(self) -> str:
        """Return the language, shell when none is chosen."""
        return self.cleaned_data.get("script_type") or ScriptType.SHELL

    def add_domain_error(self, error: DomainError) -> None:
        """Show what the service refused, beside its field where it names one."""
        for name, sentences in error.fields.items():
            self.add_error(name if name in self.fields else None, sentences)
        if not error.fields:
            self.add_error(None, error.detail)
