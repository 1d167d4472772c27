"""One host: its facts, what it runs, the system beneath, the last hour; its name and labels."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from agents.cards import card, mounts
from agents.forms import AgentChangeForm
from agents.models import Agent
from agents.portrait import portrait
from agents.services.main_agents import update_agent
from agents.system_panel import booted_at, changes
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console import extension
from dialer_platform.console.htmx import answers_errors, render_page
from dialer_platform.errors import Invalid


@require_safe
@answers_errors
def agent_detail(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Show a host, also one whose credential was revoked."""
    agent = host_for(request, agent_id)
    return _answer(request, agent, AgentChangeForm(agent))


@require_POST
@answers_errors
def change(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Rename a host or give it other labels; shows the page again with what is wrong."""
    agent = host_for(request, agent_id, "agent.change")
    form = AgentChangeForm(agent, request.POST)
    if form.is_valid():
        try:
            update_agent(agent, by=principal_of(request), **form.cleaned_data)
        except Invalid as error:
            form.add_domain_error(error)
    if not form.is_valid():
        return _answer(request, agent, form, status=422)
    messages.success(request, _("Saved %(name)s.") % {"name": agent.name})
    return HttpResponseRedirect(agent.get_absolute_url())


def _answer(
    request: HttpRequest, agent: Agent, form: AgentChangeForm, *, status: int = 200
) -> HttpResponse:
    """Return the page of a host with the form for its name and labels."""
    context = {
        "agent": agent,
        "form": form,
        "card": card(portrait(agent)),
        "mounts": mounts(agent.system),
        "booted_at": booted_at(agent.system),
        "changes": changes(agent.system),
        "panels": extension.panels_for(extension.AGENT_PAGE, principal_of(request), agent),
        "tools": extension.panels_for(extension.AGENT_TOOLS, principal_of(request), agent),
    }
    return render_page(
        request,
        "agents/agent_detail.html",
        context,
        fragment="agents/_agent_detail.html",
        status=status,
    )
