"""Paths of the task pages."""

from __future__ import annotations

from django.urls import path

from tasks.views import actions, creation, detail, files, listing

app_name = "tasks"
urlpatterns = [
    path("", listing.task_list, name="list"),
    path("new/", creation.new_task, name="new"),
    path("new/check/", creation.check, name="check"),
    path("new/dependencies/", creation.search_dependencies, name="dependencies"),
    path("files/view/<int:task_id>/", files.view_preview, name="files-view"),
    path("files/<str:agent_id>/", files.recent, name="files-recent"),
    path("files/<str:agent_id>/browse/", files.browse, name="files-browse"),
    path("files/<str:agent_id>/fetch/", files.fetch, name="files-fetch"),
    path("bulk/", actions.bulk, name="bulk"),
    path("<int:task_id>/", detail.task_detail, name="detail"),
    path("<int:task_id>/live/", detail.task_live, name="live"),
    path("<int:task_id>/samples/", detail.task_samples, name="samples"),
    path("<int:task_id>/cancel/", actions.cancel, name="cancel"),
    path("<int:task_id>/rerun/", actions.rerun, name="rerun"),
    path("<int:task_id>/bandwidth/", actions.bandwidth, name="bandwidth"),
]
