"""Limits of control groups, from trees of files as Linux and containers show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client.cgroup import cpu_limit_cores, memory_limit_bytes, memory_used_bytes


def _lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory"}
V1 = {"proc/self/cgroup": "3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n1:name=systemd:/\n"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
          "sys/fs/cgroup/a/cpu.max": "200000 100000"}, 2.0),
        ({**V2, "sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "rubbish"}, None),
        ({**V1, "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000",
          "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000"}, 2.5),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)  # fmt: skip
def test_cpu_limit_is_the_tightest_quota(tmp_path, files, cores):
    assert cpu_limit_cores(_lay(tmp_path, files)) == cores


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/a/b/memory.max": "max"}, None),
        ({**V2, "sys/fs/cgroup/a/b/memory.max": "1000", "sys/fs/cgroup/a/memory.max": "900"}, 900),
        ({**V1, "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "2048"}, 2048),
        ({**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_memory_limit_is_the_tightest(tmp_path, files, limit):
    assert memory_limit_bytes(_lay(tmp_path, files)) == limit


def test_memory_used_leaves_out_the_file_cache(tmp_path):
    group = "sys/fs/cgroup/a/b/memory."
    files = {**V2, group + "current": "1000", group + "stat": "anon 1\ninactive_file 300\n"}
    assert memory_used_bytes(_lay(tmp_path, files)) == 700


def test_memory_used_is_unknown_without_files(tmp_path):
    assert memory_used_bytes(tmp_path) is None


def test_path_of_the_host_that_does_not_exist_here_is_no_error(tmp_path):
    files = {**V2, "proc/self/cgroup": "0::/../../kubepods/pod1\n"}
    assert cpu_limit_cores(_lay(tmp_path, {**files, "sys/fs/cgroup/cpu.max": "100000 100000"})) == 1
