"""Paths of the probe pages."""

from __future__ import annotations

from django.urls import path, re_path

from tasks.probes.pages import actions, detail, editing, listing

app_name = "probes"
urlpatterns = [
    path("", listing.probe_list, name="list"),
    path("incidents/", listing.incident_list, name="incidents"),
    path("new/", editing.new_probe, name="new"),
    path("test/", editing.test_form, name="test"),
    re_path(r"^tests/(?P<request_id>[0-9a-f]{24})/$", actions.test_run, name="test-run"),
    path("<int:probe_id>/", detail.probe_detail, name="detail"),
    path("<int:probe_id>/edit/", editing.edit_probe, name="edit"),
    path("<int:probe_id>/run/", actions.run, name="run"),
    path("<int:probe_id>/pause/", actions.pause, name="pause"),
    path("<int:probe_id>/resume/", actions.resume, name="resume"),
    path("<int:probe_id>/maintenance/", actions.silence, name="silence"),
    path("<int:probe_id>/delete/", actions.remove, name="delete"),
]
