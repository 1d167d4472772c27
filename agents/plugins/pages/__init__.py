"""Pages of plug-ins: those of one host, and the packages."""
