"""Versions of the agent on one host: how they are laid out, tried, kept and taken back."""
