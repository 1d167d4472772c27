"""The queue: tasks, dependencies, matching and logs."""
