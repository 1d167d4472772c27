"""All writes to templates: one verb, one transaction, audited."""
