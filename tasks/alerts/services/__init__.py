"""All writes of the alerts: one verb, one transaction."""
