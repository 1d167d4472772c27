"""What a person does to a probe: run it now, pause, resume, delete. Each is one service call."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dialer_platform.accounts.principal import principal_of
from dialer_platform.console.htmx import acted, answers_errors, go_to, render_fragment
from dialer_platform.errors import Invalid, NotFound
from tasks.probes.models import ProbeRunRequest
from tasks.probes.pages.access import allowed, probe_for
from tasks.probes.services.maintenance import create_window
from tasks.probes.services.probes import delete_probe, update_probe
from tasks.probes.services.run_requests import run_probe

LIST_URL = "/probes/"


@require_POST
@answers_errors
def run(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Run a probe once, now, and show how it goes."""
    probe = probe_for(request, probe_id, "probe.run")
    asked = run_probe(probe, by=principal_of(request), agent_id=request.POST.get("test_agent", ""))
    return render_fragment(
        request, "probes/_test_dialog.html", {**progress_of(asked), "probe": probe}
    )


@require_safe
@answers_errors
def test_run(request: HttpRequest, request_id: str) -> HttpResponse:
    """Show what a test run has come to by now."""
    principal = allowed(request, "probe.view")
    rows = ProbeRunRequest.objects.filter(tenant_id=principal.tenant_id, pk=request_id)
    asked = rows.select_related("agent").first()
    if asked is None:
        raise NotFound(_("There is no such test."))
    return render_fragment(request, "probes/_test_run.html", progress_of(asked))


def progress_of(asked: ProbeRunRequest) -> dict[str, object]:
    """Return a test run and whether its host has let it expire."""
    return {"asked": asked, "has_expired": not asked.answered_at and is_past(asked.expires_at)}


def is_past(moment: datetime) -> bool:
    """Return whether a moment lies behind us."""
    return moment < timezone.now()


@require_POST
@answers_errors
def pause(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Stop running a probe; what is believed of it is forgotten."""
    probe = probe_for(request, probe_id, "probe.change")
    update_probe(probe, by=principal_of(request), fields={"enabled": False})
    return acted(request, _("%s is paused.") % probe.name, back=probe.get_absolute_url())


@require_POST
@answers_errors
def resume(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Run a paused probe again."""
    probe = probe_for(request, probe_id, "probe.change")
    update_probe(probe, by=principal_of(request), fields={"enabled": True})
    return acted(request, _("%s runs again.") % probe.name, back=probe.get_absolute_url())


@require_POST
@answers_errors
def silence(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Begin a maintenance window of some hours now; it ends by itself."""
    probe = probe_for(request, probe_id, "probe.change")
    hours = {"1": 1, "4": 4, "24": 24}.get(request.POST.get("hours", ""))
    if hours is None:
        raise Invalid(_("Choose 1, 4 or 24 hours."))
    now = timezone.now()
    fields = {
        "name": _("Maintenance of %s") % probe.name[:150],
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=hours)).isoformat(),
        "probes": [probe.pk],
    }
    create_window(principal=principal_of(request), fields=fields)
    note = _("%(name)s is quiet for %(hours)d h.") % {"name": probe.name, "hours": hours}
    return acted(request, note, back=probe.get_absolute_url())


@require_POST
@answers_errors
def remove(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Delete a probe."""
    probe = probe_for(request, probe_id, "probe.delete")
    delete_probe(probe, by=principal_of(request))
    return go_to(request, LIST_URL, note=_("%s is deleted.") % probe.name)
