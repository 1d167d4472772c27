"""Paths of the probes API."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from tasks.probes.api.more_views import IncidentViewSet, MaintenanceViewSet
from tasks.probes.api.push import push
from tasks.probes.api.views import ProbeViewSet, RunRequestViewSet

router = SimpleRouter()
router.register("probes/runs", RunRequestViewSet, basename="api-probe-run")
router.register("probes/incidents", IncidentViewSet, basename="api-incident")
router.register("probes/maintenance", MaintenanceViewSet, basename="api-maintenance")
router.register("probes", ProbeViewSet, basename="api-probe")

urlpatterns = [path("push/<str:token>/", push, name="probe-push"), *router.urls]
