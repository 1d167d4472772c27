"""What the agent tells of its host."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace

import psutil
import pytest

from agent_client import system_info
from agent_client.resource_util import ResourceUtil
from agent_client.system_info import boot_id, collect_system_info, ip_addresses, mounts


def test_description_is_whole_and_json_able():
    info = json.loads(json.dumps(collect_system_info(ResourceUtil())))
    assert info["hostname"] == socket.gethostname()
    assert info["memory"]["total_bytes"] == psutil.virtual_memory().total
    assert info["cpu"]["usable_cores"] >= 1
    assert len(info["load"]) == 3
    assert all(info[key] for key in ("os", "kernel", "architecture", "boot_id", "python"))
    assert info["uptime_seconds"] > 0


def _address(family, text):
    return SimpleNamespace(family=family, address=text)


def test_addresses_leave_out_loopback_and_link_local(monkeypatch):
    four, six = socket.AF_INET, socket.AF_INET6
    found = {
        "lo": [_address(four, "127.0.0.1"), _address(six, "::1")],
        "eth0": [_address(six, "fe80::1%eth0"), _address(six, "fd00::2")],
        "eth1": [_address(four, "10.0.0.9"), _address(four, "10.0.0.10"), _address(17, "aa:bb")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    assert ip_addresses() == ["10.0.0.9", "10.0.0.10", "fd00::2"]


@pytest.fixture
def disks(monkeypatch):
    """Return a function that sets the mount points and those that cannot be asked."""

    def set_up(*places: tuple[str, str], broken: tuple[str, ...] = ()) -> None:
        parts = [
            SimpleNamespace(mountpoint=point, device=device, fstype="ext4")
            for point, device in places
        ]

        def usage(point: str) -> SimpleNamespace:
            if point in broken:
                raise PermissionError(point)
            return SimpleNamespace(total=10, used=4, percent=40.0)

        monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts)
        monkeypatch.setattr(psutil, "disk_usage", usage)

    return set_up


def _points() -> list[str]:
    return [row["mount_point"] for row in mounts()]


def test_mounts_hold_each_file_system_once(disks):
    disks(("/", "/dev/a"), ("/data", "/dev/b"), ("/srv/data", "/dev/b"))
    assert _points() == ["/", "/data"]


def test_mounts_always_hold_the_root(disks):
    disks(("/data", "/dev/b"))
    assert _points() == ["/", "/data"]


def test_mount_that_cannot_be_asked_is_left_out(disks):
    disks(("/", "/dev/a"), ("/secret", "/dev/b"), broken=("/secret",))
    assert _points() == ["/"]


def test_mount_tells_size_and_use(disks):
    disks(("/", "/dev/a"))
    assert mounts()[0] == {
        "mount_point": "/",
        "device": "/dev/a",
        "type": "ext4",
        "total_bytes": 10,
        "used_bytes": 4,
        "usage": 40.0,
    }


def test_mounts_are_bounded(disks):
    disks(*((f"/m{n}", f"/dev/{n}") for n in range(200)))
    assert len(mounts()) == 64


def test_boot_id_is_the_boot_time_where_there_is_no_id(tmp_path):
    assert boot_id(tmp_path / "missing") == f"boot-{int(psutil.boot_time())}"


def test_os_name_is_the_systems_own_where_there_is_no_release_file(monkeypatch):
    def missing():
        raise OSError

    monkeypatch.setattr(system_info.platform, "freedesktop_os_release", missing)
    assert system_info._os_name().startswith(system_info.platform.system())
