"""App configuration: The queue: tasks, dependencies, matching and logs."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """The queue: tasks, dependencies, matching and logs."""

    name = "tasks"
    label = "tasks"
    verbose_name = "Tasks"
