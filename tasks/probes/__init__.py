"""Dial tests: probes, who runs them, what their runs came to, and what state that means."""
