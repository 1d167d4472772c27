"""What a host starts for a plug-in that its server wants."""

from __future__ import annotations

import pytest

from agent_client.errors import Rejected
from agent_client.plugins.programs import HostPrograms
from agent_client.policy import Policy
from agent_client.protocol.plugins import PluginWanted


async def test_plugin_without_a_package_is_one_of_our_own(tmp_path):
    programs = HostPrograms(tmp_path, Policy, download=lambda digest: b"", hidden=())
    assert (await programs.prepare(PluginWanted("cpu"))).package is None
    with pytest.raises(Rejected, match="mine is no built-in plug-in") as caught:
        await programs.prepare(PluginWanted("mine"))
    assert caught.value.code == "plugin_unknown"
