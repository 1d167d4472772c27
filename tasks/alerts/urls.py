"""Paths of the alert pages."""

from __future__ import annotations

from django.urls import path

from tasks.alerts.views import pages

app_name = "alerts"
urlpatterns = [
    path("", pages.home, name="home"),
    path("channels/new/", pages.new_channel, name="new-channel"),
    path("channels/<int:channel_id>/", pages.edit_channel, name="channel"),
    path("channels/<int:channel_id>/test/", pages.test, name="test"),
    path("channels/<int:channel_id>/delete/", pages.remove_channel, name="delete-channel"),
    path("rules/new/", pages.new_rule, name="new-rule"),
    path("rules/<int:rule_id>/", pages.edit_rule, name="rule"),
    path("rules/<int:rule_id>/delete/", pages.remove_rule, name="delete-rule"),
    path("deliveries/<int:delivery_id>/retry/", pages.retry, name="retry"),
]
