"""Pages of hosts: the list with its cards, one host, adding one, acting on one."""
