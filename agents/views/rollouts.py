"""The page of roll-outs: begin one, see how far each is and why it halted, act on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from agents.distribution import releases
from agents.forms import RolloutForm
from agents.models import Agent, Rollout
from agents.services import rollouts
from agents.services.host_releases import upgrade_agent
from agents.views.access import allowed, host_for
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import acted, answers_errors, render_page
from dialer_platform.errors import Conflict, Invalid, NotFound

SHOWN_ROLLOUTS = 20
PAGE = "/agents/rollouts/"
VERBS: dict[str, Callable[..., Rollout]] = {
    "pause": rollouts.pause_rollout,
    "resume": rollouts.resume_rollout,
    "roll-back": rollouts.roll_back,
}


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def rollout_list(request: HttpRequest) -> HttpResponse:
    """Show the roll-outs with the versions of the hosts; begin a new one."""
    action = "agent.upgrade" if request.method == "POST" else "agent.view"
    principal = allowed(request, action)
    form = RolloutForm(versions(), request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return _answer(request, principal, form)
    if form.is_valid():
        try:
            rollouts.start_rollout(by=principal, **form.cleaned_data)
        except (Invalid, Conflict) as error:
            form.add_domain_error(error)
    if not form.is_valid():
        return _answer(request, principal, form, status=422)
    return acted(request, _("The roll-out has begun."), back=PAGE)


@require_POST
@answers_errors
def act(request: HttpRequest, rollout_id: int, verb: str) -> HttpResponse:
    """Pause, resume or roll back one roll-out of the tenant."""
    principal = allowed(request, "agent.upgrade")
    rollout = Rollout.objects.filter(tenant_id=principal.tenant_id, pk=rollout_id).first()
    if rollout is None or verb not in VERBS:
        raise NotFound(_("There is no such roll-out."))
    VERBS[verb](rollout, by=principal)
    state = rollout.get_state_display()
    return acted(request, _("The roll-out is %(state)s.") % {"state": state}, back=PAGE)


@require_POST
@answers_errors
def upgrade(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Have one host run a version on offer."""
    agent = host_for(request, agent_id, "agent.upgrade")
    version = request.POST.get("version", "").strip()
    upgrade_agent(agent, by=principal_of(request), version=version)
    note = _("%(name)s changes its version; what runs goes on.") % {"name": agent.name}
    return acted(request, note, back=agent.get_absolute_url())


def versions() -> list[str]:
    """Return the versions on offer, the server's own first."""
    own = releases.current().version
    return [own, *(one.version for one in releases.on_offer() if one.version != own)]


def _answer(
    request: HttpRequest, principal: Principal, form: RolloutForm, *, status: int = 200
) -> HttpResponse:
    """Return the page with its form."""
    found = Rollout.objects.filter(tenant_id=principal.tenant_id)
    shown = found.prefetch_related("hosts__agent__release")[:SHOWN_ROLLOUTS]
    hosts = Agent.objects.visible_to(principal).hosts().enrolled().select_related("release")
    context: dict[str, Any] = {
        "rollouts": shown,
        "form": form,
        "hosts": hosts.order_by("name")[: rollouts.MAX_HOSTS_SHOWN],
    }
    return render_page(
        request, "agents/rollouts.html", context, fragment="agents/_rollouts.html", status=status
    )
