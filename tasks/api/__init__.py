"""REST of tasks: carries to and from the services."""
