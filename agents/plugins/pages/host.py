"""The plug-ins of one host: states, charts and lines; activate, configure, remove."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents.models import Agent
from agents.plugins import queries
from agents.plugins.choices import BUILT_IN, NAME, OFFERED
from agents.plugins.curves import WINDOWS, Chart, charts
from agents.plugins.forms import PluginForm
from agents.plugins.models import AgentPlugin, PluginPackage
from agents.plugins.services import Change, activate_built_in, remove_plugin, set_plugin
from agents.views.access import host_for
from dialer_platform.accounts.principal import principal_of
from dialer_platform.console.htmx import acted, answers_errors, go_to, render_page
from dialer_platform.errors import DomainError, NotFound

TAIL_LINES = 200
MAX_DRAWN_PLUGINS = 8


@require_safe
@answers_errors
def plugin_list(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Show a host's plug-ins with what they measured lately."""
    agent = host_for(request, agent_id, "plugin.view")
    views = queries.views_of(agent, with_offered=True)
    window = request.GET.get("window", "1h")
    window = window if window in WINDOWS else "1h"
    names = {view.name for view in views}
    packages = PluginPackage.objects.filter(tenant_id=agent.tenant_id).exclude(name__in=names)
    context = {
        "agent": agent,
        "plugins": views,
        "is_any_active": any(view.is_active for view in views),
        "offered": not any(view.wanted for view in views if view.name in OFFERED),
        "installable": sorted(set(packages.values_list("name", flat=True))),
        "window": window,
        "windows": list(WINDOWS),
        "charts": list(_charts(agent, views, window)),
        "tails": list(_tails(agent, views)),
    }
    return render_page(
        request, "plugins/plugin_list.html", context, fragment="plugins/_plugin_list.html"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def plugin_form(request: HttpRequest, agent_id: str, name: str) -> HttpResponse:
    """Show the form of one plug-in, or set the plug-in as it says."""
    agent = host_for(request, agent_id, "plugin.change")
    row = AgentPlugin.objects.filter(agent_id=agent.pk, name=name).first()
    packages = list(PluginPackage.objects.filter(tenant_id=agent.tenant_id, name=name))
    if not NAME.fullmatch(name) or (row is None and name not in BUILT_IN and not packages):
        raise NotFound(_("There is no such plug-in."))
    form = PluginForm(name, row, packages, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            set_plugin(agent, name, by=principal_of(request), change=form.to_change())
        except DomainError as error:
            form.add_domain_error(error)
        else:
            note = _("%(name)s is set; the host begins at once.") % {"name": name}
            return go_to(request, _url(agent), note=note)
    context = {"agent": agent, "name": name, "form": form, "row": row}
    return render_page(
        request,
        "plugins/plugin_form.html",
        context,
        fragment="plugins/_plugin_form.html",
        status=422 if form.is_bound else 200,
    )


@require_POST
@answers_errors
def activate_all(request: HttpRequest, agent_id: str) -> HttpResponse:
    """Activate the built-in plug-ins that need no configuration."""
    agent = host_for(request, agent_id, "plugin.change")
    activate_built_in(agent, by=principal_of(request))
    return acted(request, _("The built-in plug-ins are active."), back=_url(agent))


@require_POST
@answers_errors
def switch(request: HttpRequest, agent_id: str, name: str) -> HttpResponse:
    """Activate or deactivate one plug-in; what it was told stays."""
    agent = host_for(request, agent_id, "plugin.change")
    enabled = request.POST.get("enabled") == "1"
    set_plugin(agent, name, by=principal_of(request), change=Change(enabled=enabled))
    note = _("%(name)s is active.") if enabled else _("%(name)s is not active any more.")
    return acted(request, note % {"name": name}, back=_url(agent))


@require_POST
@answers_errors
def remove(request: HttpRequest, agent_id: str, name: str) -> HttpResponse:
    """Forget a plug-in with its configuration."""
    agent = host_for(request, agent_id, "plugin.change")
    remove_plugin(agent, name, by=principal_of(request))
    return acted(request, _("%(name)s is removed.") % {"name": name}, back=_url(agent))


def _url(agent: Agent) -> str:
    """Return the address of the host's plug-ins."""
    return reverse("agents:plugins", args=[agent.pk])


def _charts(
    agent: Agent, views: list[queries.PluginView], window: str
) -> Iterator[tuple[str, list[Chart]]]:
    """Yield the charts of each plug-in that measured within the window; bounded."""
    now = time.time()
    for view in [one for one in views if one.wanted or one.report][:MAX_DRAWN_PLUGINS]:
        since = now - WINDOWS[window]
        level, spans = queries.spans_of(agent.pk, view.name, since=since)
        about = view.report.metrics if view.report else {}
        found = charts(view.name, spans, level=level, window=window, now=now, about=about)
        if found:
            yield view.name, found


def _tails(
    agent: Agent, views: list[queries.PluginView]
) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Yield the newest lines of each plug-in that follows any."""
    for view in [one for one in views if one.wanted or one.report][:MAX_DRAWN_PLUGINS]:
        if view.is_built_in and view.name != "log_tail":
            continue
        if lines := queries.lines_of(agent.pk, view.name, limit=TAIL_LINES):
            yield view.name, list(lines)
