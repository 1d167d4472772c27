"""Signing in and out, and choosing the tenant to act in."""

from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView as DjangoLoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from dialer_platform.accounts.models import Tenant
from dialer_platform.accounts.principal import principal_of
from dialer_platform.accounts.sessions import SESSION_TENANT_KEY


class LoginForm(AuthenticationForm):
    """Name and password; one sentence for every reason of failure."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _(
            "Wrong name or password. After ten failures signing in pauses for fifteen minutes."
        ),
    }


class LoginView(DjangoLoginView):
    """The login page; a signed-in person is sent on."""

    authentication_form = LoginForm
    redirect_authenticated_user = True


@require_POST
def switch_tenant(request: HttpRequest) -> HttpResponse:
    """Choose the tenant of this session; a foreign one looks like a missing one."""
    wanted = request.POST.get("tenant", "")
    tenant = get_object_or_404(Tenant.objects.open_to(principal_of(request).user), pk=wanted)
    request.session[SESSION_TENANT_KEY] = tenant.pk
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = resolve_url("/")
    return HttpResponseRedirect(target)
