"""What probes add to the console: navigation, overview, search, the host's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from agents.portrait import portrait
from agents.thread_pool import thread_pool
from dialer_platform.accounts.principal import Principal
from dialer_platform.console import extension, figures
from tasks.probes.choices import TONES, State
from tasks.probes.models import Location, Probe
from tasks.probes.pages.rows import rows_of

ROWS = 8
ON_AGENT_ROWS = 200
WRONG = (State.DOWN, State.DEGRADED, State.SUSPECT)


def count_down(principal: Principal) -> int:
    """Return how many probes are down."""
    return Probe.objects.visible_to(principal).down().count()


def stats(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the numbers at the head of the overview."""
    return Probe.objects.visible_to(principal).aggregate(
        down=Count("id", filter=Q(state=State.DOWN)),
        up=Count("id", filter=Q(state__in=(State.UP, State.DEGRADED))),
        total=Count("id"),
    )


def attention(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the probes that are down, longest first, each with why."""
    down = Probe.objects.visible_to(principal).down().shown().order_by("state_since", "id")
    return {"rows": rows_of(down[:ROWS], principal)}


def overview(principal: Principal, _obj: Any) -> Mapping[str, Any]:
    """Return the probes for the overview, bad ones first."""
    probes = Probe.objects.visible_to(principal)
    wrong = list(probes.filter(state__in=WRONG).shown().order_by("state", "-id")[:ROWS])
    fine = probes.exclude(state__in=WRONG).shown().order_by("-id")[: ROWS - len(wrong)]
    return {"rows": rows_of([*wrong, *fine], principal)}


def on_agent(principal: Principal, agent: Agent) -> Mapping[str, Any]:
    """Return the probe pool of a host and what each of its probes does at this moment."""
    pool = thread_pool(portrait(agent).thread_pool)
    seen = Location.objects.filter(agent_id=agent.pk).values("probe_id")
    probes = Probe.objects.visible_to(principal).filter(pk__in=seen).shown()
    rows = rows_of(probes.order_by("name", "id")[:ON_AGENT_ROWS], principal)
    running, waiting = set(pool.running_ids), set(pool.waiting_ids)
    places = {row.probe.pk: _here(row.locations, agent.pk) for row in rows}
    return {
        "agent": agent,
        "pool": pool,
        "lines": [
            {
                "probe": row.probe,
                "here": places[row.probe.pk],
                "next_at": row.next_at,
                "state": _run_state(row.probe.pk, running, waiting),
            }
            for row in rows
        ],
    }


def _here(locations: Iterable[Location], agent_id: str) -> Location | None:
    """Return what one host sees."""
    return next((one for one in locations if one.agent_id == agent_id), None)


def _run_state(probe_id: int, running: set[int], waiting: set[int]) -> str:
    """Return what a host does with a probe now."""
    if probe_id in running:
        return "running"
    return "waiting" if probe_id in waiting else "completed"


def find(principal: Principal, words: str, limit: int) -> Iterable[extension.Hit]:
    """Return the probes whose name or target contains the words."""
    match = Q(name__icontains=words) | Q(target__icontains=words)
    for probe in Probe.objects.visible_to(principal).filter(match).order_by("name", "id")[:limit]:
        state = State(probe.state)
        yield extension.Hit(
            probe.name, probe.get_absolute_url(), probe.target, TONES[state], state.label
        )


def count_by_state() -> Mapping[str, float]:
    """Return the probes of all tenants by state."""
    return dict(Probe.objects.order_by().values_list("state").annotate(Count("id")))


def register() -> None:
    """Add everything to the console."""
    extension.add_nav(
        "probes",
        extension.NavItem(
            label=_("Probes"),
            url="/probes/",
            icon="probes",
            order=25,
            action="probe.view",
            count=count_down,
            count_title=_("down"),
        ),
    )
    places = (
        ("stats", extension.OVERVIEW_STATS, 20, stats),
        ("attention", extension.OVERVIEW_ATTENTION, 15, attention),
        ("overview", extension.OVERVIEW_MAIN, 35, overview),
        ("on_agent", extension.AGENT_PAGE, 20, on_agent),
    )
    for name, place, order, read in places:
        template = f"probes/panels/_{name}.html"
        extension.add_panel(
            f"probes.{name}", extension.Panel(place, order, template, read, "probe.view")
        )
    extension.add_search(
        "probes", extension.SearchSource(_("Probes"), 15, "probe.view", find, "/probes/?q=")
    )
    figures.add(figures.Figure("probes", "Probes by state.", count_by_state, label="state"))


register()
