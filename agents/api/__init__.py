"""REST of hosts for people and programs."""
