"""Paths of the template pages."""

from __future__ import annotations

from django.urls import path

from templates_app.views import pages

app_name = "templates"
urlpatterns = [
    path("", pages.template_list, name="list"),
    path("new/", pages.new_template, name="new"),
    path("<int:template_id>/", pages.edit_template, name="detail"),
    path("<int:template_id>/delete/", pages.remove_template, name="delete"),
]
