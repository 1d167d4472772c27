"""Which form an answer takes: JSON, unless the caller accepts another one that we have.

Promises that no request fails for its Accept header: a log is text and an error is JSON,
whatever was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    """The library's choice, with the view's first renderer where it would refuse."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer and its media type."""
        known = list(renderers)
        try:
            renderer, media_type = super().select_renderer(request, known, format_suffix)
        except NotAcceptable:
            renderer, media_type = known[0], known[0].media_type
        return renderer, str(media_type)
