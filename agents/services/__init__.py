"""All writes to hosts and their credentials: one verb, one transaction, audited."""
