"""The console's pages of probes: list, form, detail, incidents, panels."""
