"""Logs of tasks: files written at byte offsets, read by anyone at any offset."""
