"""Tables of script templates."""

from templates_app.models.template import Template

__all__ = ["Template"]
