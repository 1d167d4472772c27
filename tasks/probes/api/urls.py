"""Paths of the probes API."""

from rest_framework.routers import SimpleRouter

from tasks.probes.api.views import ProbeViewSet, RunRequestViewSet

router = SimpleRouter()
router.register("probes/runs", RunRequestViewSet, basename="api-probe-run")
router.register("probes", ProbeViewSet, basename="api-probe")

urlpatterns = router.urls
