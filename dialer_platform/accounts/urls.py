"""Paths of signing in and out."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from dialer_platform.accounts.views import session

urlpatterns = [
    path("login/", session.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("tenant/", session.switch_tenant, name="switch-tenant"),
]
