"""Template tags of the probe pages."""
