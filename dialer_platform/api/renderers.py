"""The REST API as pages for people, within the strict content security policy."""

from __future__ import annotations

from typing import Any

from rest_framework import renderers


class BrowsableAPIRenderer(renderers.BrowsableAPIRenderer):
    """The library's pages without the inline style it adds for code examples."""

    template = "dialer_platform/browsable_api.html"

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the page's variables."""
        context: dict[str, Any] = super().get_context(*args, **kwargs)
        context["code_style"] = None
        return context
