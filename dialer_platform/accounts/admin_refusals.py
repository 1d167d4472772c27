# mypy: disable-error-code="type-arg"
"""Admin forms whose rows a service saves: what it refuses is shown in the form, like in pages.

Django says "was changed successfully" after `save_model`, whatever happened in there. So
`save_model` lets the service's error out: its transaction is rolled back, and the form
comes again, as it was filled in, with the service's sentences beside their fields.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from dialer_platform.errors import DomainError

_REFUSAL = "_admin_refusal"


class ServiceAdmin(admin.ModelAdmin):
    """A table whose `save_model` calls a service and may raise its DomainError."""

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Show the form again when the service refuses; nothing of the request is kept then."""
        try:
            return super().changeform_view(request, *args, **options)
        except DomainError as error:
            setattr(request, _REFUSAL, error)
            return super().changeform_view(request, *args, **options)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> type[ModelForm]:
        """Return the form; after a refusal one that is not valid and says why."""
        form = super().get_form(request, obj, change, **options)
        error = getattr(request, _REFUSAL, None)
        return form if error is None else _refused(form, error)


def _refused(form: type[ModelForm], error: DomainError) -> type[ModelForm]:
    """Return the form with the error in it: beside its fields, else above all of them."""

    class Refused(form):  # type: ignore[misc, valid-type]  # a base that is known at run time only
        """The same form, with what the service said of its input."""

        def clean(self) -> Any:
            """Add the service's sentences to those of the form."""
            cleaned = super().clean()
            shown = error.fields.keys() & self.fields.keys()
            for name in shown:
                self.add_error(name, error.fields[name])
            if not shown:
                self.add_error(None, error.detail)
            return cleaned

    return Refused
