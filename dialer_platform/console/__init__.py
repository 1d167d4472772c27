"""Shared pages, partials, live hints, health and metrics."""
