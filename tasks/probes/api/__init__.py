"""REST of probes: carries to and from the services."""
