"""Paths of the console itself."""

from django.urls import path

from dialer_platform.console import health, views

app_name = "console"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("nav/", views.nav, name="nav"),
    path("search/", views.find, name="search"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("help/errors/", views.errors, name="errors"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]
