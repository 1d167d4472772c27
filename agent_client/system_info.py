"""What kind of host this is: name, operating system, addresses, CPU, memory, mounts.

Collected at the start and once in a while, sent with registration and hello. Every part
that cannot be read is left empty; nothing here raises. Local file systems only: asking a
dead network mount for its size would block for ever.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from agent_client import __version__
from agent_client.resource_util import ResourceUtil

_MAX_MOUNTS = 64
_MAX_ADDRESSES = 64


def collect_system_info(resources: ResourceUtil) -> dict[str, Any]:
    """Return a JSON-able description of the host; sizes in bytes, times in seconds."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "hostname": socket.gethostname(),
        "os": _os_name(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "ip_addresses": ip_addresses(),
        "cpu": {
            "model": _cpu_model(),
            "cores": psutil.cpu_count() or 0,
            "physical_cores": psutil.cpu_count(logical=False) or 0,
            "usable_cores": resources.get_cpu_core_count(),
        },
        "memory": {
            "total_bytes": memory.total,
            "available_bytes": memory.available,
            "usable_bytes": resources.get_memory_total(),
            "swap_bytes": swap.total,
        },
        "mounts": mounts(),
        "load": list(psutil.getloadavg()),
        "boot_time": psutil.boot_time(),
        "uptime_seconds": max(0.0, time.time() - psutil.boot_time()),
        "boot_id": boot_id(),
        "python": platform.python_version(),
        "agent_version": __version__,
    }


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return what is different after every boot; the boot time where there is no such id."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return f"boot-{int(psutil.boot_time())}"


def ip_addresses() -> list[str]:
    """Return the addresses of this host without loopback and link-local ones, IPv4 first."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                found.add(ipaddress.ip_address(entry.address.partition("%")[0]))
    shown = [ip for ip in found if not (ip.is_loopback or ip.is_link_local)]
    shown.sort(key=lambda ip: (ip.version, int(ip)))
    return [str(ip) for ip in shown[:_MAX_ADDRESSES]]


def mounts() -> list[dict[str, Any]]:
    """Return every local mount point with its size, one per device, the root always."""
    places = {part.mountpoint: part for part in psutil.disk_partitions(all=False)}
    devices: set[str] = set()
    rows: list[dict[str, Any]] = []
    for point in sorted({"/", *places}):
        part = places.get(point)
        device = part.device if part else ""
        if device and device in devices:
            continue  # the same file system bound to a second place
        devices.add(device)
        row = _mount(point, device, part.fstype if part else "")
        if row is not None:
            rows.append(row)
    return rows[:_MAX_MOUNTS]


def _mount(point: str, device: str, kind: str) -> dict[str, Any] | None:
    """Return one mount's row, None when it cannot be asked."""
    try:
        usage = psutil.disk_usage(point)
    except OSError:
        return None
    return {
        "mount_point": point,
        "device": device,
        "type": kind,
        "total_bytes": usage.total,
        "used_bytes": usage.used,
        "usage": usage.percent,
    }


def _os_name() -> str:
    """Return the distribution's own name, or the system's."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.version()}".strip()


def _cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name; Linux hides it from the platform module."""
    if sys.platform != "linux":
        return platform.processor()
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = (line.partition(":")[2] for line in lines if line.startswith("model name"))
            return next(found, "").strip() or os.uname().machine
    except OSError:
        return ""
