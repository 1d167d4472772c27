"""REST of the alerts."""
