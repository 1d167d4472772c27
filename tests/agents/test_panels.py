"""What hosts show on the overview, in the search and in the figures."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents import panels
from agents.models import Agent
from dialer_platform.accounts.principal import principal_for


@pytest.fixture
def make(tenant):
    """Return a function that makes a host."""

    def create(name: str, **fields) -> Agent:
        return Agent.objects.create(tenant=tenant, name=name, **fields)

    return create


def test_numbers_leave_out_revoked_hosts_and_sub_agents(make, principal):
    host = make("box1", status="online")
    make("box2")
    make("gone", revoked_at=timezone.now())
    make("task", id=f"{host.id}/1", type="sub", main_agent=host, status="online")
    assert panels.stats(principal, None) == {"online": 1, "total": 2}
    assert panels.count_offline(principal) == 1


def test_attention_names_silent_hosts_and_unkillable_tasks(make, principal):
    make("fine", status="online")
    make("silent")
    make("stuck", status="online", unkillable_tasks=1)
    assert [host.name for host in panels.attention(principal, None)["hosts"]] == ["silent", "stuck"]


@pytest.mark.parametrize("words", ["BOX", "a-77"])
def test_host_is_found_by_part_of_name_or_id(make, principal, words):
    make("box3", id="a-7700000000", status="online")
    (hit,) = panels.find(principal, words, 5)
    assert (hit.title, hit.tone, hit.note) == ("box3", "online", "a-7700000000")


def test_nothing_of_another_tenant_is_shown(make, stranger):
    make("box3")
    other = principal_for(stranger)
    assert panels.stats(other, None) == {"online": 0, "total": 0}
    assert panels.overview(other, None) == {"cards": []}
    assert list(panels.find(other, "box", 5)) == []


def test_figures_count_hosts_by_status(make):
    make("box1", status="online")
    make("box2")
    make("gone", revoked_at=timezone.now())
    assert panels.count_by_status() == {"online": 1, "offline": 1}


def test_overview_costs_the_same_for_one_host_and_many(make, principal, django_assert_num_queries):
    for number in range(9):
        make(f"box{number}")
    with django_assert_num_queries(2):
        panels.overview(principal, None)
