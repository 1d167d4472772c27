"""Out of memory is claimed only with evidence."""

from __future__ import annotations

import pytest

from agent_client.sub_agent.memory import oom_kills, was_out_of_memory


def write(path, text):
    """Write a file with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_count_is_read_from_the_unified_group(tmp_path):
    membership = write(tmp_path / "cgroup", "0::/agent.service\n")
    write(tmp_path / "agent.service/memory.events", "low 0\noom 2\noom_kill 3\n")
    assert oom_kills(memberships=membership, root=str(tmp_path)) == 3


def test_count_is_read_from_the_older_memory_group(tmp_path):
    membership = write(tmp_path / "cgroup", "5:cpu:/\n4:memory:/box\n0::/\n")
    write(tmp_path / "memory/box/memory.oom_control", "under_oom 0\noom_kill 1\n")
    assert oom_kills(memberships=membership, root=str(tmp_path)) == 1


def test_nothing_is_known_when_there_is_no_counter(tmp_path):
    assert oom_kills(memberships=str(tmp_path / "none"), root=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("code", "before", "after", "expected"),
    [
        (-9, 0, 1, True),
        (137, 0, 1, True),
        (-9, 1, 1, False),
        (1, 0, 1, False),
        (-9, None, 1, False),
    ],
)
def test_victim_is_a_killed_script_when_the_counter_rose(code, before, after, expected):
    assert was_out_of_memory(code, before, after) is expected
