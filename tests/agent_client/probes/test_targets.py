"""Which addresses a probe may reach, and how the host's policy file decides."""

from __future__ import annotations

import pytest

from agent_client.errors import ConfigError
from agent_client.policy import Policy
from agent_client.policy_file import POLICY_FILE, load_policy
from agent_client.probes.kind import TargetDenied
from agent_client.probes.registry import prepare
from agent_client.probes.targets import TargetPolicy
from agent_client.probing.dialing import denied_kinds
from agent_client.protocol import probe_kinds
from agent_client.protocol.probes import ProbeTask


def entry(address: str):
    return (2, 1, 6, "", (address, 80))


@pytest.mark.parametrize("allow", [(), ("10.0.0.0/8",)])
def test_metadata_name_is_denied_unless_its_network_is_allowed(allow):
    with pytest.raises(TargetDenied):
        TargetPolicy(allow=allow).check_name("Metadata.Google.Internal.")
    TargetPolicy(allow=("169.254.169.254/32",)).check_name("metadata.google.internal")


def test_owner_may_deny_and_allow_networks():
    policy = TargetPolicy(deny=("10.0.0.0/8",), allow=("10.1.0.0/16",))
    found = policy.permitted("db", [entry("10.2.0.1"), entry("10.1.0.1"), entry("192.0.2.1")])
    assert [one[4][0] for one in found] == ["10.1.0.1", "192.0.2.1"]
    with pytest.raises(TargetDenied, match=r"10\.2\.0\.1"):
        policy.permitted("db", [entry("10.2.0.1")])


@pytest.mark.parametrize("text", ["not a network", "10.0.0.0/99"])
def test_policy_file_with_a_wrong_network_stops_the_agent(tmp_path, text):
    path = tmp_path / POLICY_FILE
    path.write_text(f"probe_targets: {{deny: ['{text}']}}\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"does not appear|network"):
        load_policy(path)


@pytest.mark.parametrize(
    ("work", "denied"),
    [
        (("scripts", "probes"), set()),
        (("probes",), {"script"}),
        (("scripts",), set(probe_kinds.names())),
    ],
)
def test_host_runs_only_the_kinds_its_policy_allows(work, denied):
    assert denied_kinds(Policy(work=work)) == denied


def test_denied_kind_is_our_error_and_not_the_targets():
    task = ProbeTask(
        task_id=1,
        tenant_id="t",
        kind="script",
        interval=60,
        target="true",
        config={"script": "true"},
    )
    finding = prepare(task, denied_kinds=frozenset({"script"}))
    assert (finding.outcome, finding.reason) == ("error", "denied")
