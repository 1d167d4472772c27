"""Errors of the domain: each carries a stable code, a sentence, fields and an HTTP status.

Raised by services, turned into answers by the API's handler, into form errors and
toasts by pages, into replies by agent endpoints. Never carries internals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FieldErrors = Mapping[str, Sequence[str]]


class DomainError(Exception):
    """Something the caller asked for cannot be done; says what and how to mend it."""

    code = "error"
    status = 400

    def __init__(self, detail: str, *, code: str = "", fields: FieldErrors | None = None) -> None:
        """Keep the sentence, an optional finer code and the sentences per field."""
        super().__init__(detail)
        self.detail = str(detail)
        self.code = code or type(self).code
        self.fields = {
            name: [str(line) for line in lines] for name, lines in (fields or {}).items()
        }


class Invalid(DomainError):
    """The input is wrong; `fields` says where."""

    code = "invalid"


class Unauthenticated(DomainError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401


class Forbidden(DomainError):
    """The caller's role does not allow it."""

    code = "forbidden"
    status = 403


class NotFound(DomainError):
    """No such object in the caller's tenant."""

    code = "not_found"
    status = 404


class Conflict(DomainError):
    """The object is in a state that does not allow it, or somebody was first."""

    code = "conflict"
    status = 409


class TooLarge(DomainError):
    """The input exceeds a limit, which the sentence names."""

    code = "too_large"
    status = 413


class TooMany(DomainError):
    """Too many tries; the sentence says when to come back."""

    code = "too_many"
    status = 429


class Unavailable(DomainError):
    """The server cannot do it now (disk, database); trying later is right."""

    code = "unavailable"
    status = 503
