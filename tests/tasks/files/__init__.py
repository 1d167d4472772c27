"""Files that tasks bring to hosts and fetch from them."""
