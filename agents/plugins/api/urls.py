"""Paths of the REST of plug-ins."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from agents.plugins.api import views
from agents.plugins.api.packages import PackageViewSet

router = SimpleRouter()
router.register("plugins/packages", PackageViewSet, basename="api-plugin-package")

HOST = r"^agents/(?P<agent_id>[A-Za-z0-9_-]+)/plugins/"
ONE = HOST + r"(?P<name>[A-Za-z0-9_-]+)/"

urlpatterns = [
    path("plugins/apply/", views.ByLabelsView.as_view(), name="api-plugins-apply"),
    path("plugins/remove/", views.RemoveByLabelsView.as_view(), name="api-plugins-remove"),
    re_path(HOST + "$", views.PluginListView.as_view(), name="api-agent-plugins"),
    re_path(ONE + "$", views.PluginView.as_view(), name="api-agent-plugin"),
    re_path(ONE + "samples/$", views.SamplesView.as_view(), name="api-agent-plugin-samples"),
    re_path(ONE + "lines/$", views.LinesView.as_view(), name="api-agent-plugin-lines"),
    *router.urls,
]
