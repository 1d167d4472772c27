"""Alerts: who is told, by which channel, when something is wrong for long enough."""
