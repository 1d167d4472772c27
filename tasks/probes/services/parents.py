"""Which probes a probe is behind: while one of those is down, it keeps quiet."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from dialer_platform.errors import Invalid
from tasks.probes.models import Probe

Edges = Iterable[tuple[int, int]]


def closes_circle(probe_id: int, parent_ids: Iterable[int], edges: Edges) -> bool:
    """Return whether the probe would be behind itself; edges are (child, parent)."""
    above: dict[int, list[int]] = {}
    for child, parent in edges:
        above.setdefault(child, []).append(parent)
    waiting, seen = list(parent_ids), set()
    while waiting:
        one = waiting.pop()
        if one == probe_id:
            return True
        if one not in seen:
            seen.add(one)
            waiting += above.get(one, ())
    return False


def set_parents(probe: Probe, parent_ids: list[int]) -> None:
    """Store which probes it is behind; raises Invalid for unknown ones and for a circle."""
    known = set(
        Probe.objects.of_tenant(probe.tenant_id)
        .filter(id__in=parent_ids)
        .values_list("id", flat=True)
    )
    unknown = [one for one in parent_ids if one not in known]
    sentence = ""
    if unknown:
        names = ", ".join(f"#{one}" for one in unknown[:10])
        sentence = _("There is no such probe: %(ids)s") % {"ids": names}
    elif closes_circle(probe.pk, parent_ids, _edges_of(probe.tenant_id)):
        sentence = _("These dependencies form a circle.")
    if sentence:
        raise Invalid(_("Some fields are not valid."), fields={"parents": [sentence]})
    probe.parents.set(parent_ids)


def _edges_of(tenant_id: str) -> list[tuple[int, int]]:
    """Return all edges of a tenant as (child, parent)."""
    through = Probe.parents.through.objects.filter(from_probe__tenant_id=tenant_id)
    return list(through.values_list("from_probe_id", "to_probe_id"))
