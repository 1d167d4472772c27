"""Reusable script templates."""
