"""What counts as a change of a host, and how much of it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.system_changes import MAX_CHANGES, with_changes
from agents.system_facts import bounded_system
from agents.system_panel import booted_at, changes

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GIB = 1024**3
HOST = {
    "hostname": "h1",
    "os": "Debian 12",
    "kernel": "6.1",
    "ip_addresses": ["10.0.0.1"],
    "cpu": {"model": "EPYC", "cores": 8},
    "memory": {"total_bytes": 64 * GIB, "available_bytes": 1},
    "mounts": [{"mount_point": "/", "total_bytes": 100 * GIB, "used_bytes": 1, "usage": 1}],
    "load": [0.1, 0.1, 0.1],
    "boot_id": "aaaa-1",
    "uptime_seconds": 10,
}


def told(*news: dict) -> list[tuple[str, str, str]]:
    """Return what the list says after these facts came in turn."""
    facts: dict = {}
    for number, one in enumerate(news):
        facts = with_changes(facts, one, now=NOW + timedelta(minutes=number))
    return [(row["what"], row["before"], row["after"]) for row in facts.get("changes", [])]


def test_first_facts_are_no_change():
    assert told(HOST) == []


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        ({"kernel": "6.2"}, ("kernel", "6.1", "6.2")),
        ({"memory": {"total_bytes": 128 * GIB}}, ("memory", "64.0 GB", "128.0 GB")),
        ({"cpu": {"model": "EPYC", "cores": 16}}, ("cores", "8", "16")),
        ({"ip_addresses": ["10.0.0.2"]}, ("addresses", "10.0.0.1", "10.0.0.2")),
        ({"boot_id": "bbbb-2"}, ("boot", "aaaa-1", "bbbb-2")),
        ({"hostname": "h2"}, ("hostname", "h1", "h2")),
    ],
)
def test_changed_fact_is_noted_with_before_and_after(news, expected):
    assert told(HOST, {**HOST, **news}) == [expected]


def test_mounts_that_come_go_and_grow_are_noted():
    data = {"mount_point": "/data", "total_bytes": 10 * GIB}
    grown = {"mount_point": "/", "total_bytes": 200 * GIB}
    assert told(HOST, {**HOST, "mounts": [grown, data]}) == [
        ("mount /", "100.0 GB", "200.0 GB"),
        ("mount /data", "", "10.0 GB"),
    ]
    assert told({**HOST, "mounts": [*HOST["mounts"], data]}, HOST) == [
        ("mount /data", "10.0 GB", "")
    ]


def test_what_always_moves_is_no_change():
    moving = {
        "load": [9.0, 9.0, 9.0],
        "uptime_seconds": 99,
        "memory": {"total_bytes": 64 * GIB, "available_bytes": 5},
        "mounts": [{**HOST["mounts"][0], "used_bytes": 9 * GIB, "usage": 9}],
    }
    assert told(HOST, {**HOST, **moving}) == []


def test_newest_comes_first_and_empty_facts_keep_the_list():
    second, third = {**HOST, "kernel": "6.2"}, {**HOST, "kernel": "6.3"}
    expected = [("kernel", "6.2", "6.3"), ("kernel", "6.1", "6.2")]
    assert told(HOST, second, third) == expected
    assert told(HOST, second, third, {}) == expected


def test_list_is_bounded_and_counts_what_it_dropped():
    facts: dict = {}
    for number in range(MAX_CHANGES + 11):
        facts = with_changes(facts, {"kernel": str(number)}, now=NOW)
    assert len(facts["changes"]) == MAX_CHANGES
    assert facts["changes_dropped"] == 10
    assert facts["changes"][0]["after"] == str(MAX_CHANGES + 10)


def test_host_cannot_write_the_list_itself():
    forged = {**HOST, "changes": [{"what": "kernel"}], "changes_dropped": 7}
    assert "changes" not in with_changes({}, forged, now=NOW)
    facts = with_changes(HOST, {**forged, "kernel": "6.2"}, now=NOW)
    assert [row["before"] for row in facts["changes"]] == ["6.1"]
    assert "changes_dropped" not in facts


@pytest.mark.parametrize(
    "hostile",
    [
        {"cpu": "x", "memory": 5, "mounts": "no", "ip_addresses": {"a": 1}},
        {"mounts": [1, None, {"mount_point": ["x"], "total_bytes": True}]},
        {"memory": {"total_bytes": "many"}, "kernel": {"a": {"b": 1}}, "boot_time": "soon"},
    ],
)
def test_hostile_facts_never_raise_and_stay_small(hostile):
    facts = with_changes(HOST, bounded_system({**HOST, **hostile}), now=NOW)
    assert all(len(row["after"]) <= 130 for row in facts.get("changes", []))
    assert isinstance(changes(facts), list)
    assert booted_at(facts) is None


def test_page_names_facts_and_mounts():
    new = {**HOST, "kernel": "6.2", "mounts": []}
    shown = changes(with_changes(HOST, new, now=NOW))
    assert [(one.name, one.after) for one in shown] == [("Kernel", "6.2"), ("Mount point /", "")]
    assert shown[0].at == NOW


def test_boot_time_is_a_moment():
    assert booted_at({"boot_time": NOW.timestamp()}) == NOW
