"""Runs the probes of this host on time: when, in which order, with what, and what came of it."""
