"""The agent for new hosts, readable by anybody: installer and wheel hold code and no secret."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from agents.distribution import pip_archive, releases
from agents.distribution.installer import python_installer, shell_installer
from dialer_platform.console.htmx import answers_errors
from dialer_platform.errors import NotFound

_TEXT = "text/plain; charset=utf-8"


@require_safe
def install_py(request: HttpRequest) -> HttpResponse:
    """Answer the installer as a Python program."""
    return _fresh(python_installer(server_of(request), releases.current()), _TEXT)


@require_safe
def install_sh(request: HttpRequest) -> HttpResponse:
    """Answer the installer as a shell script."""
    return _fresh(shell_installer(server_of(request), releases.current()), _TEXT)


@require_safe
def release_info(request: HttpRequest) -> JsonResponse:
    """Answer which wheel is current, with its hash."""
    release = releases.current()
    return JsonResponse(
        {
            "version": release.version,
            "file": release.path.name,
            "sha256": release.sha256,
            "size_bytes": release.size_bytes,
        }
    )


@require_safe
@answers_errors
def pip_wheel(request: HttpRequest) -> HttpResponse:
    """Answer the pip of this server, for hosts whose Python brings none."""
    data = pip_archive.read()
    if data is None:
        raise NotFound("This server's Python environment has no pip.")
    return _fresh(data, "application/octet-stream")


@require_safe
@answers_errors
def wheel(request: HttpRequest, version: str) -> HttpResponse:
    """Answer the bytes of a version's wheel."""
    release = releases.find(version) or releases.current()
    if release.version != version:
        raise NotFound("There is no such version of the agent.")
    return _fresh(release.path.read_bytes(), "application/octet-stream")


def server_of(request: HttpRequest) -> str:
    """Return this server's address as the caller sees it, without a last slash."""
    return request.build_absolute_uri("/").rstrip("/")


def _fresh(body: str | bytes, content_type: str) -> HttpResponse:
    """Return an answer that no proxy keeps: it would hand out a former version."""
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})
