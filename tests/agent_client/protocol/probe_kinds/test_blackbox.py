"""Import of blackbox_exporter modules: what is carried over, and what is said to be lost."""

from __future__ import annotations

import pytest

from agent_client.protocol import probe_kinds
from agent_client.protocol.probe_kinds.blackbox import Module, modules

FILE = {
    "modules": {
        "http_2xx": {
            "prober": "http",
            "timeout": "1m5s",
            "http": {
                "valid_status_codes": [200, 204],
                "method": "POST",
                "no_follow_redirects": True,
                "fail_if_body_not_matches_regexp": ["ok"],
                "tls_config": {"insecure_skip_verify": True},
                "fail_if_not_ssl": True,
            },
        },
        "ssh_banner": {
            "prober": "tcp",
            "tcp": {"query_response": [{"expect": "^SSH-2.0-"}, {"send": "SSH-2.0-x"}]},
        },
        "ping": {"prober": "icmp", "icmp": {"preferred_ip_protocol": "ip4"}},
        "grpc": {"prober": "grpc"},
    }
}


def imported(name: str) -> Module:
    return next(one for one in modules(FILE) if one.name == name)


def test_http_module_is_carried_over_and_says_what_is_lost() -> None:
    found = imported("http_2xx")
    assert (found.kind, found.timeout, found.lost) == ("http", 65.0, ("http.fail_if_not_ssl",))
    assert found.config["expected_status"] == ["200", "204"]
    assert (found.config["body_regex"], found.config["verify_tls"]) == ("ok", False)
    assert found.config["follow_redirects"] is False


def test_every_usable_module_passes_the_check() -> None:
    targets = {"http": "http://a.test/", "tcp": "a.test:22", "ping": "a.test"}
    for one in modules(FILE):
        if one.kind:
            assert probe_kinds.check(one.kind, targets[one.kind], one.config) == {}


def test_unknown_prober_is_said_to_be_lost() -> None:
    assert imported("grpc") == Module("grpc", "", lost=("prober grpc",))


@pytest.mark.parametrize("document", [None, [], {}, {"modules": 5}])
def test_other_files_are_refused(document: object) -> None:
    with pytest.raises(ValueError, match="modules"):
        modules(document)
