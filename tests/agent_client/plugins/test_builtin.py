"""The built-in plug-ins that measure the host: what they tell, and what they refuse."""

from __future__ import annotations

import importlib
import threading
from types import SimpleNamespace

import psutil
import pytest

from agent_client.plugins import sdk
from agent_client.plugins.builtin import MODULES, cpu, disk, memory, network
from agent_client.plugins.rates import Rates
from agent_client.protocol.plugins import MAX_METRICS_PER_SAMPLE
from tests.agent_client.plugins.speaking import collected, refusal


@pytest.mark.parametrize("name", MODULES)
def test_module_has_a_plugin_of_its_name(name):
    plugin = importlib.import_module(MODULES[name]).Plugin()
    assert isinstance(plugin, sdk.Plugin)
    assert plugin.name == name
    assert all({"unit", "help", "kind"} == set(about) for about in plugin.metrics.values())


@pytest.mark.parametrize("module", [cpu, memory, disk, network])
def test_only_declared_metrics_are_told(module):
    metrics = collected(module.Plugin())
    assert {name.partition("[")[0] for name in metrics} <= set(module.Plugin.metrics)


# --- cpu -------------------------------------------------------------------------------


def test_cpu_tells_each_core_when_asked_for():
    metrics = collected(cpu.Plugin(), {"per_core": True})
    cores = [name for name in metrics if name.startswith("core_usage_percent[")]
    assert len(cores) == min(psutil.cpu_count(), cpu.MAX_CORES)
    assert 0 <= metrics["usage_percent"] <= 100
    assert metrics["load_1m"] >= 0


def test_cpu_refuses_what_is_no_truth():
    assert refusal(cpu.Plugin(), {"per_core": "yes"})["field"] == "per_core"


# --- memory ----------------------------------------------------------------------------


def test_memory_adds_up():
    metrics = collected(memory.Plugin())
    assert metrics["total_bytes"] == psutil.virtual_memory().total
    assert metrics["used_bytes"] + metrics["available_bytes"] == metrics["total_bytes"]
    assert 0 < metrics["used_percent"] < 100


# --- disk ------------------------------------------------------------------------------


def test_disk_tells_the_named_mounts(tmp_path):
    metrics = collected(disk.Plugin(), {"mounts": [str(tmp_path)]})
    assert metrics[f"total_bytes[{tmp_path}]"] == psutil.disk_usage(str(tmp_path)).total
    assert sum(name.startswith("total_bytes[") for name in metrics) == 1


def test_disk_leaves_out_a_mount_that_is_not_there(tmp_path):
    metrics = collected(disk.Plugin(), {"mounts": [str(tmp_path / "none"), "/"]})
    assert f"total_bytes[{tmp_path}/none]" not in metrics
    assert "total_bytes[/]" in metrics


def test_disk_goes_on_when_a_file_system_hangs(monkeypatch):
    release, asked = threading.Event(), []

    def usage(mount):
        asked.append(mount)
        if mount == "/hangs":
            release.wait(30)
        return SimpleNamespace(total=2, used=1, percent=50.0)

    monkeypatch.setattr(disk.psutil, "disk_usage", usage)
    monkeypatch.setattr(disk, "ANSWER_SECONDS", 0.2)
    plugin = disk.Plugin()
    plugin.configure({"mounts": ["/hangs", "/"]})
    first, second = plugin.collect(), plugin.collect()
    release.set()
    assert "used_percent[/]" in first
    assert "used_percent[/]" in second
    assert asked.count("/hangs") == 1  # no second thread is left behind for it


def test_disk_watches_a_bounded_number_of_mounts(monkeypatch):
    parts = [SimpleNamespace(device=f"/dev/{n}", mountpoint=f"/m{n}") for n in range(500)]
    monkeypatch.setattr(disk.psutil, "disk_partitions", lambda all: parts)
    usage = SimpleNamespace(total=2, used=1, percent=50.0)
    monkeypatch.setattr(disk.psutil, "disk_usage", lambda mount: usage)
    metrics = collected(disk.Plugin())
    assert disk.MAX_MOUNTS * 3 <= len(metrics) <= MAX_METRICS_PER_SAMPLE


def test_disk_tells_each_device_once(monkeypatch):
    parts = [SimpleNamespace(device="/dev/a", mountpoint=place) for place in ("/", "/bind")]
    monkeypatch.setattr(disk.psutil, "disk_partitions", lambda all: parts)
    assert disk.mounted() == ["/"]


@pytest.mark.parametrize("mounts", ["/", [1], ["/"] * (disk.MAX_MOUNTS + 1)])
def test_disk_refuses_a_wrong_list(mounts):
    assert refusal(disk.Plugin(), {"mounts": mounts})["field"] == "mounts"


# --- network ---------------------------------------------------------------------------


def counters(sent=0, received=0):
    names = ("errin", "errout", "dropin", "dropout")
    return SimpleNamespace(bytes_sent=sent, bytes_recv=received, **dict.fromkeys(names, 0))


def test_network_tells_rates_of_all_but_the_loopback(monkeypatch):
    looks = [
        {"lo": counters(), "eth0": counters(1000, 5000)},
        {"lo": counters(), "eth0": counters(3000, 5000)},
    ]
    moments = iter([10.0, 12.0])
    monkeypatch.setattr(network.psutil, "net_io_counters", lambda pernic: looks.pop(0))
    monkeypatch.setattr(network.time, "monotonic", lambda: next(moments))
    plugin = network.Plugin()
    plugin.start()
    assert plugin.collect() == {
        "sent_bytes_per_second[eth0]": 1000.0,
        "received_bytes_per_second[eth0]": 0.0,
        "errors_per_second[eth0]": 0.0,
        "drops_per_second[eth0]": 0.0,
    }


def test_network_tells_only_the_named_interfaces():
    metrics = collected(network.Plugin(), {"interfaces": ["lo"]})
    assert set(metrics) == {f"{name}[lo]" for name in network.Plugin.metrics}


def test_network_watches_a_bounded_number_of_interfaces(monkeypatch):
    many = {f"veth{n}": counters() for n in range(1000)}
    monkeypatch.setattr(network.psutil, "net_io_counters", lambda pernic: many)
    assert len(collected(network.Plugin())) == network.MAX_INTERFACES * len(network._COUNTERS)


def test_network_refuses_a_wrong_list():
    assert refusal(network.Plugin(), {"interfaces": "eth0"})["field"] == "interfaces"


# --- rates -----------------------------------------------------------------------------


def test_rate_is_the_growth_per_second():
    rates = Rates()
    assert rates.between({"a": 10}, 1.0) == {}
    assert rates.between({"a": 30}, 3.0) == {"a": 10.0}


def test_no_rate_is_told_when_a_counter_began_anew():
    rates = Rates()
    rates.between({"a": 10, "b": 1}, 1.0)
    assert rates.between({"a": 2, "b": 3, "new": 5}, 2.0) == {"b": 2.0}
    assert rates.between({"a": 4, "b": 3, "new": 5}, 3.0) == {"a": 2.0, "b": 0.0, "new": 0.0}
