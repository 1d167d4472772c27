# mypy: disable-error-code="no-untyped-call"
"""The OpenAPI schema: how callers authenticate, and what every failure looks like.

Owns `/api/v1/schema/` and the extensions that describe our own classes to the generator.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.utils.translation import get_language
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["code", "detail", "fields"],
    "properties": {
        "code": {"type": "string", "description": "Stable name of the failure."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
ERROR_REFERENCE = {"$ref": "#/components/schemas/Error"}
FAILURES = {
    "400": "The input is not valid.",
    "401": "No or no valid credential.",
    "403": "The role does not allow it.",
    "404": "No such object in the caller's tenant, or no such page.",
    "409": "The object's state does not allow it.",
    "413": "The body is too large.",
    "429": "Too many tries.",
}
METHODS = ("get", "put", "post", "delete", "patch")


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """Describes `Authorization: Bearer dpu_…`."""

    target_class = "dialer_platform.accounts.authentication.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI writes it."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "dpu_…"}


class ConsoleSessionScheme(OpenApiAuthenticationExtension):
    """Describes the console's session cookie."""

    target_class = "dialer_platform.accounts.authentication.ConsoleSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme as OpenAPI writes it."""
        return {"type": "apiKey", "in": "cookie", "name": "dialer_session"}


class KeptGenerator(SchemaGenerator):
    """Makes the schema once for each version and language: it takes a second of a core."""

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        """Return the public schema, which is the same for every caller."""
        return _kept_schema(self.api_version, get_language() or "")


@lru_cache(maxsize=8)
def _kept_schema(version: str | None, language: str) -> dict[str, Any]:
    """Return the schema of one version in the language that is active."""
    made: dict[str, Any] = SchemaGenerator(api_version=version).get_schema(public=True)
    return made


class SchemaView(SpectacularAPIView):
    """Answers the schema, as JSON unless YAML is asked for."""

    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]
    generator_class = KeptGenerator


def add_failures(
    result: dict[str, Any], generator: SchemaGenerator, request: Any, public: bool
) -> dict[str, Any]:
    """Say on every operation what its failures look like."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    for item in result.get("paths", {}).values():
        for method in METHODS:
            if method in item:
                _describe(item[method])
    return result


def _describe(operation: dict[str, Any]) -> None:
    """Add the failures that are not described yet."""
    for status, sentence in FAILURES.items():
        operation["responses"].setdefault(
            status,
            {
                "description": sentence,
                "content": {"application/json": {"schema": ERROR_REFERENCE}},
            },
        )
