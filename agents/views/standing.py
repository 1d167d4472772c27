"""Drain, pause and resume a host: each asks why in a dialog, then is one service call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from agents.models import Agent
from agents.services.main_agents import MAX_REASON, drain_agent, pause_agent, resume_agent
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console.htmx import acted, answers_errors, render_page


@dataclass(frozen=True, slots=True)
class Verb:
    """One of the three, with its words; title and note take the host's name."""

    name: str
    service: Callable[..., Agent]
    title: Promise
    text: Promise
    button: Promise
    note: Promise


VERBS: Mapping[str, Verb] = {
    "drain": Verb(
        "drain",
        drain_agent,
        _("Drain %(name)s"),
        _("It gets no new tasks. What runs goes on, and so do its probes."),
        _("Drain"),
        _("%(name)s gets no new tasks; what runs goes on."),
    ),
    "pause": Verb(
        "pause",
        pause_agent,
        _("Pause %(name)s"),
        _(
            "It gets no new tasks, its probes rest, and nobody is alerted when it falls silent. "
            "What runs goes on."
        ),
        _("Pause"),
        _("%(name)s is paused; what runs goes on."),
    ),
    "resume": Verb(
        "resume",
        resume_agent,
        _("Resume %(name)s"),
        _("It gets tasks again, and its probes run again."),
        _("Resume"),
        _("%(name)s takes tasks again."),
    ),
}


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def stand(request: HttpRequest, agent_id: str, verb: str) -> HttpResponse:
    """Ask for the reason, or do it."""
    agent = host_for(request, agent_id, f"agent.{verb}")
    chosen = VERBS[verb]
    words = {"name": agent.name}
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()[:MAX_REASON]
        chosen.service(agent, by=principal_of(request), reason=reason)
        return acted(request, str(chosen.note) % words, back=agent.get_absolute_url())
    context = {
        "agent": agent,
        "verb": chosen,
        "title": str(chosen.title) % words,
        "max_reason": MAX_REASON,
    }
    return render_page(request, "agents/standing.html", context, fragment="agents/_standing.html")
