"""REST of plug-ins for people and programs."""
