"""Pages of the alerts: rules, channels, what was sent."""
