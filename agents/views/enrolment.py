"""Adding a host: one click makes a token and shows the one command, then the page waits."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from agents.distribution.installer import command_for
from agents.forms import EnrolmentForm
from agents.models import Agent, EnrolmentToken
from agents.services.enrolment import create_enrolment_token
from agents.views.access import allowed
from agents.views.distribution import server_of
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.accounts.principal import Principal
from dialer_platform.console.htmx import answers_errors, render_fragment, render_page
from dialer_platform.errors import NotFound


@require_POST
@answers_errors
def enrol(request: HttpRequest) -> HttpResponse:
    """Make an enrolment token and show the command; the token is shown this once."""
    principal = allowed(request, "agent.enrol")
    form = EnrolmentForm(request.POST)
    form.is_valid()
    token, text = create_enrolment_token(
        actor=principal, tenant=principal.tenant, max_uses=form.max_uses
    )
    context = {
        "token": token,
        "command": command_for(server_of(request), text),
        "joined": [],
        "is_loopback": request.get_host().partition(":")[0] in {"127.0.0.1", "localhost"},
    }
    response = render_page(
        request, "agents/enrolment.html", context, fragment="agents/_enrolment.html"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@require_safe
@answers_errors
def enrolment_state(request: HttpRequest, public_id: str) -> HttpResponse:
    """Say which hosts have joined with the token so far."""
    principal = allowed(request, "agent.enrol")
    token = EnrolmentToken.objects.filter(tenant=principal.tenant, public_id=public_id).first()
    if token is None:
        raise NotFound(_("There is no such token."))
    context = {"token": token, "joined": joined_with(token, principal)}
    return render_fragment(request, "agents/_enrolment_state.html", context)


def joined_with(token: EnrolmentToken, principal: Principal) -> list[Agent]:
    """Return the hosts that registered with the token, by the audit trail."""
    events = AuditEvent.objects.filter(
        tenant=principal.tenant, actor=f"enrolment:{token.public_id}", action="agent.register"
    )
    ids = list(events.values_list("object_id", flat=True)[:50])
    return list(Agent.objects.visible_to(principal).hosts().filter(id__in=ids))
