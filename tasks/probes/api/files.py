"""Files out of the API: downloads as attachments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from dialer_platform.errors import Invalid
from tasks.probes.exporting import as_csv, as_json

TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def attachment(
    rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], form: str, name: str
) -> StreamingHttpResponse:
    """Return rows as a file to keep; raises Invalid for an unknown form."""
    if form not in TYPES:
        sentence = _("Must be one of: %(words)s.") % {"words": ", ".join(TYPES)}
        raise Invalid(_("The request is not valid."), fields={"download": [sentence]})
    lines = as_csv(rows, columns) if form == "csv" else as_json(rows)
    response = StreamingHttpResponse(lines, content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
