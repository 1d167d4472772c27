"""Which addresses a probe may reach: the host's policy, applied to resolved addresses.

A name is judged by what it resolves to at the moment of connecting, so neither a redirect
nor a name server that answers differently the second time gets around it. Loopback is
allowed: testing the host's own services is what a private agent is for. Metadata services
of clouds give secrets away to whoever asks and are denied.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from agent_client.probes.kind import Address, TargetDenied

DENIED_NETWORKS = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
DENIED_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
Network = IPv4Network | IPv6Network
_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")


class TargetPolicy:
    """Networks in CIDR notation; allow wins over deny. Immutable, safe in any thread."""

    def __init__(self, deny: Iterable[str] = DENIED_NETWORKS, allow: Iterable[str] = ()) -> None:
        """Raise ValueError for a text that is no network."""
        self._deny = tuple(ipaddress.ip_network(one, strict=False) for one in deny)
        self._allow = tuple(ipaddress.ip_network(one, strict=False) for one in allow)
        # Agents test the same addresses again and again; the judgement never changes.
        self._denied = functools.lru_cache(maxsize=16_384)(self._judge)

    def check_name(self, host: str) -> None:
        """Raise TargetDenied for a name of a metadata service, before any look-up."""
        named = host.rstrip(".").lower() in DENIED_NAMES
        # Only who allows the services' own addresses means these names as well.
        if named and not any(one.overlaps(_LINK_LOCAL) for one in self._allow if one.version == 4):
            raise TargetDenied(f"{host} is a metadata service; the agent's policy denies it")

    def permitted(self, host: str, addresses: list[Address]) -> list[Address]:
        """Return the permitted addresses; raises TargetDenied when there is none."""
        found = [one for one in addresses if not self._denied(str(one[4][0]))]
        if addresses and not found:
            raise TargetDenied(
                f"{host} is {addresses[0][4][0]}, which the agent's policy denies"
                " (probe_targets in its policy file)"
            )
        return found

    def _judge(self, text: str) -> bool:
        """Say whether the address is denied; an address in disguise is judged by its core."""
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or address
        if _in(address, self._allow):
            return False
        return _in(address, self._deny)


def _in(address: ipaddress.IPv4Address | IPv6Address, networks: tuple[Network, ...]) -> bool:
    return any(one.version == address.version and address in one for one in networks)
