"""Paths below /agent/: what a host needs before it has a credential. All are open."""

from __future__ import annotations

from django.urls import path

from agents.views import distribution

app_name = "agent-distribution"
urlpatterns = [
    path("install.py", distribution.install_py, name="agent-install-py"),
    path("install.sh", distribution.install_sh, name="agent-install-sh"),
    path("pip.whl", distribution.pip_wheel, name="agent-pip"),
    path("release.json", distribution.release_info, name="agent-release"),
    path("dialer_agent-<str:version>-py3-none-any.whl", distribution.wheel, name="agent-wheel"),
]
