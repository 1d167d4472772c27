"""Paths of the APIs of tasks and files."""

from rest_framework.routers import SimpleRouter

from tasks.api.files import FileViewSet
from tasks.api.views import TaskViewSet

router = SimpleRouter()
router.register("tasks", TaskViewSet, basename="api-task")
router.register("files", FileViewSet, basename="api-file")

urlpatterns = router.urls
