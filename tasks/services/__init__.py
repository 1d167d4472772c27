"""All writes of tasks: one verb a module, one transaction a call."""
