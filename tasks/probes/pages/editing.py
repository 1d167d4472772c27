"""The form of a new and of a stored probe, and "test now" before it is saved."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from agent_client.protocol import probe_kinds
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import answers_errors, go_to, render_fragment, render_page
from dialer_platform.errors import DomainError
from tasks.probes.models import Probe
from tasks.probes.pages.access import allowed, probe_for
from tasks.probes.pages.actions import progress_of
from tasks.probes.pages.forms import ProbeForm, initial_of
from tasks.probes.services.probes import create_probe, update_probe
from tasks.probes.services.run_requests import run_unsaved

DEFAULT_KIND = "http"


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def new_probe(request: HttpRequest) -> HttpResponse:
    """Show the form of the kind ?kind=, or make a probe from it."""
    principal = allowed(request, "probe.create")
    kind = kind_in(request)
    form = ProbeForm(request.POST or None, kind=kind, principal=principal)
    if form.is_bound and form.is_valid():
        try:
            probe = create_probe(principal=principal, fields=form.request_fields)
        except DomainError as error:
            form.add_domain_error(error)
        else:
            return _made(request, probe)
    return _form_page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@answers_errors
def edit_probe(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Show the form of a stored probe, or change it."""
    probe = probe_for(request, probe_id, "probe.change")
    principal = principal_of(request)
    form = ProbeForm(
        request.POST or None,
        kind=probe.kind,
        principal=principal,
        probe=probe,
        initial=initial_of(probe),
    )
    if form.is_bound and form.is_valid():
        try:
            update_probe(probe, by=principal, fields=form.request_fields)
        except DomainError as error:
            form.add_domain_error(error)
        else:
            note = _("%s is saved.") % form.cleaned_data["name"]
            return go_to(request, probe.get_absolute_url(), note=note)
    return _form_page(request, form, probe)


@require_POST
@answers_errors
def test_form(request: HttpRequest) -> HttpResponse:
    """Run what the form says once, now, and show how it goes; nothing is saved."""
    principal = allowed(request, "probe.run")
    form = ProbeForm(
        _named(request), kind=kind_in(request), principal=principal, probe=_stored(request)
    )
    if form.is_valid():
        try:
            agent_id = request.POST.get("test_agent", "")
            asked = run_unsaved(by=principal, fields=form.request_fields, agent_id=agent_id)
        except DomainError as error:
            form.add_domain_error(error)
        else:
            return render_fragment(request, "probes/_test_run.html", progress_of(asked))
    return render_fragment(request, "probes/_test_run.html", {"form": form})


def kind_in(request: HttpRequest) -> str:
    """Return the kind asked for, the default one when there is no such kind."""
    kind = request.POST.get("kind") or request.GET.get("kind") or DEFAULT_KIND
    return kind if kind in probe_kinds.SPECS else DEFAULT_KIND


def _named(request: HttpRequest) -> QueryDict:
    """Return the posted form with a name: a test needs none."""
    data = request.POST.copy()
    data["name"] = data.get("name") or "-"
    return data


def _stored(request: HttpRequest) -> Probe | None:
    """Return the probe that is being edited: its secrets take part in the test."""
    number = request.POST.get("probe", "")
    is_id = number.isascii() and number.isdigit() and len(number) < 19
    return probe_for(request, int(number), "probe.change") if is_id else None


def _made(request: HttpRequest, probe: Probe) -> HttpResponse:
    """Go to the new probe; the token of one that reports itself is shown this once."""
    token = getattr(probe, "push_token", "")
    if token:
        context = {"probe": probe, "path": f"/api/v1/push/{token}"}
        return render_page(
            request, "probes/push_token.html", context, fragment="probes/_push_token.html"
        )
    return go_to(request, probe.get_absolute_url(), note=_("%s is saved.") % probe.name)


def _form_page(request: HttpRequest, form: ProbeForm, probe: Probe | None) -> HttpResponse:
    """Answer with the form: 422 when something in it is wrong."""
    principal: Principal = principal_of(request)
    context = {
        "form": form,
        "probe": probe,
        "specs": probe_kinds.SPECS.values(),
        "principal": principal,
    }
    return render_page(
        request,
        "probes/probe_form.html",
        context,
        fragment="probes/_probe_form.html",
        status=422 if form.is_bound else 200,
    )
