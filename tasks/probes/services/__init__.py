"""The verbs of probes: everything that writes."""
