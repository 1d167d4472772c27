"""Tests of the console: pages, tags, live hints, health."""
