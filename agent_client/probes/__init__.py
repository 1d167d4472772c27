"""Probe kinds: one way to test a target each, and the two drivers that run them."""
