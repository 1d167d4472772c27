"""Tables of the queue."""

from tasks.models.dependency import TaskDependency
from tasks.models.event import TaskEvent
from tasks.models.files import FileTransfer, StoredFile
from tasks.models.submission import SubmissionKey
from tasks.models.task import Task

__all__ = ["FileTransfer", "StoredFile", "SubmissionKey", "Task", "TaskDependency", "TaskEvent"]
