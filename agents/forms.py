"""Forms of the agents page."""

from __future__ import annotations

from django import forms

MAX_HOSTS_PER_TOKEN = 100


class EnrolmentForm(forms.Form):
    """How many hosts may join with one token; one when nothing is said."""

    uses = forms.IntegerField(min_value=1, max_value=MAX_HOSTS_PER_TOKEN, required=False)

    @property
    def max_uses(self) -> int:
        """Return the number of hosts."""
        return int(self.cleaned_data.get("uses") or 1)
