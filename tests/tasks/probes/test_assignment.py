"""Who runs what: named agents, labels, everybody; the number of a set follows its content."""

from __future__ import annotations

from tasks.probes.assignment import Wish, assign, revision_of

AGENTS = {"a": {"zone": "north"}, "b": {"zone": "south"}, "c": {}}


def test_probe_without_wishes_is_run_by_everybody():
    assert assign([Wish(1, 1)], AGENTS) == {"a": {1: 1}, "b": {1: 1}, "c": {1: 1}}


def test_named_agents_win_over_labels():
    wish = Wish(1, 1, frozenset({"c"}), (("zone", "north"),))
    assert [name for name, probes in assign([wish], AGENTS).items() if probes] == ["c"]


def test_labels_choose_the_agents_that_carry_all_of_them():
    wish = Wish(1, 1, labels=(("zone", "north"),))
    assert [name for name, probes in assign([wish], AGENTS).items() if probes] == ["a"]


def test_hosts_with_nothing_of_their_own_share_one_mapping():
    found = assign([Wish(1, 1)], AGENTS)
    assert found["a"] is found["b"]


def test_empty_set_has_a_number_too():
    assert revision_of({}) not in {0, revision_of({1: 1})}


def test_number_follows_content_and_not_order():
    assert revision_of({1: 1, 2: 5}) == revision_of({2: 5, 1: 1})
    others = [{1: 2, 2: 5}, {1: 1}, {2: 5}, {12: 5}]
    assert len({revision_of(one) for one in [{1: 1, 2: 5}, *others]}) == 5


def test_open_test_run_changes_the_number():
    assert revision_of({1: 1}, ["r"]) not in {revision_of({1: 1}), 0}
