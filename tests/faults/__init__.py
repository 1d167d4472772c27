"""Faults against the real product: what must hold whatever is killed."""
