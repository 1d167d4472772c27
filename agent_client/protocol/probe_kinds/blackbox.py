"""Modules of a blackbox_exporter configuration, as kinds and settings of ours.

Pure: takes the decoded file. What cannot be carried over is said module by module, so
that nobody believes a check is made which is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = {"http": "http", "tcp": "tcp", "dns": "dns", "icmp": "ping"}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Module:
    """One module; lost names what was left out, as paths in the file. kind "" = not usable."""

    name: str
    kind: str
    timeout: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


def modules(document: Any) -> list[Module]:
    """Return the modules of a decoded file; raises ValueError when it is no such file."""
    found = document.get("modules") if isinstance(document, Mapping) else None
    if not isinstance(found, Mapping):
        raise ValueError("The file has no `modules`: give the blackbox_exporter's own file.")
    return [_module(str(name), body) for name, body in found.items()]


def _module(name: str, body: Any) -> Module:
    if not isinstance(body, Mapping) or body.get("prober") not in KINDS:
        prober = body.get("prober") if isinstance(body, Mapping) else None
        return Module(name, "", lost=(f"prober {str(prober)[:40]}",))
    prober = body["prober"]
    given = body.get(prober) or {}
    if not isinstance(given, Mapping):
        return Module(name, "", lost=(prober,))
    config: dict[str, Any] = {}
    lost = [str(key) for key in body if key not in ("prober", "timeout", prober)]
    for key, value in given.items():
        if not _CONVERT[prober](str(key), value, config):
            lost.append(f"{prober}.{key}")
    return Module(name, KINDS[prober], _seconds(body.get("timeout")), config, tuple(lost))


def _seconds(text: Any) -> float:
    """Return the seconds of a duration like 1m30s, 0 when there is none."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(str(text)))


def _http(key: str, value: Any, config: dict[str, Any]) -> bool:
    """Take over one setting of the http prober; False when there is no counterpart."""
    plain = {"method": "method", "headers": "headers", "body": "body"}
    if key in plain:
        config[plain[key]] = value
    elif key == "valid_status_codes":
        config["expected_status"] = [str(one) for one in value or ()] or ["200-299"]
    elif key in ("no_follow_redirects", "follow_redirects"):
        config["follow_redirects"] = bool(value) is (key == "follow_redirects")
    elif key == "basic_auth" and isinstance(value, Mapping):
        config["username"], config["password"] = (
            value.get("username", ""),
            value.get("password", ""),
        )
        return "password_file" not in value
    elif key == "bearer_token":
        config["bearer_token"] = value
    elif _one_pattern(key, value):
        name = "body_regex" if "if_body_not" in key else "body_not_regex"
        config[name] = value[0]
    else:
        return _shared(key, value, config)
    return True


def _one_pattern(key: str, value: Any) -> bool:
    """Say whether it is the body's only pattern; we match one, and must not drop the others."""
    keys = ("fail_if_body_matches_regexp", "fail_if_body_not_matches_regexp")
    return key in keys and isinstance(value, list) and len(value) == 1


def _tcp(key: str, value: Any, config: dict[str, Any]) -> bool:
    if key == "tls":
        config["tls"] = bool(value)
        return True
    if key != "query_response" or not isinstance(value, list):
        return _shared(key, value, config)
    steps = [step for step in value if isinstance(step, Mapping)]
    sends = [str(step["send"]) + "\n" for step in steps if "send" in step]
    expects = [str(step["expect"]) for step in steps if "expect" in step]
    if len(sends) > 1 or len(expects) > 1 or any("starttls" in step for step in steps):
        return False
    config["send"] = "".join(sends).replace("\\", "\\\\")
    config["expect_regex"] = "".join(expects)
    return True


def _dns(key: str, value: Any, config: dict[str, Any]) -> bool:
    names = {"query_type": "record_type", "transport_protocol": "transport"}
    if key in names:
        config[names[key]] = value
        return True
    return _shared(key, value, config)


def _icmp(key: str, value: Any, config: dict[str, Any]) -> bool:
    if key == "payload_size":
        config["payload_bytes"] = value
        return True
    return _shared(key, value, config)


def _shared(key: str, value: Any, config: dict[str, Any]) -> bool:
    """Take over what several probers have."""
    if key == "preferred_ip_protocol":
        config["ip_version"] = {"ip4": "4", "ip6": "6"}.get(str(value), "any")
    elif key == "tls_config" and isinstance(value, Mapping):
        config["verify_tls"] = not value.get("insecure_skip_verify", False)
        config["server_name"] = value.get("server_name", "")
        return set(value) <= {"insecure_skip_verify", "server_name"}
    else:
        return False
    return True


_CONVERT = {"http": _http, "tcp": _tcp, "dns": _dns, "icmp": _icmp}
