"""Files that tasks bring to hosts and fetch from them: content on disk, orders, endpoints."""
