"""Tags of the task pages."""
