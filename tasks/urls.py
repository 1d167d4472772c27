"""Paths of the task pages."""

from __future__ import annotations

from django.urls import path

from tasks.views import actions, creation, detail, listing

app_name = "tasks"
urlpatterns = [
    path("", listing.task_list, name="list"),
    path("new/", creation.new_task, name="new"),
    path("new/check/", creation.check, name="check"),
    path("new/dependencies/", creation.search_dependencies, name="dependencies"),
    path("bulk/", actions.bulk, name="bulk"),
    path("<int:task_id>/", detail.task_detail, name="detail"),
    path("<int:task_id>/live/", detail.task_live, name="live"),
    path("<int:task_id>/samples/", detail.task_samples, name="samples"),
    path("<int:task_id>/cancel/", actions.cancel, name="cancel"),
    path("<int:task_id>/rerun/", actions.rerun, name="rerun"),
]
