"""Tables of the queue."""

from tasks.models.dependency import TaskDependency
from tasks.models.event import TaskEvent
from tasks.models.submission import SubmissionKey
from tasks.models.task import Task

__all__ = ["SubmissionKey", "Task", "TaskDependency", "TaskEvent"]
