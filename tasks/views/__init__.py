"""Pages of the queue: list, new task, detail, actions."""
