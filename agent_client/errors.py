"""The agent's errors: three families that carry the decision, and one catalogue of codes.

`Retryable` means try again later, `Terminal` means stop and say so, `Rejected` means this
one request will never be accepted but everything else goes on. Every error has a stable
code; the catalogue gives each code its sentence, its remedy and the exit code of the
program. Codes may be added, never renamed: the server stores them and people search for
them. Standard library only; never formats secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from agent_client.protocol.error_codes import CODES


class ExitCode(IntEnum):
    """How the program ends; 2 and 4 are not worth a restart by a service manager."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    API = 5
    LOCKED = 6
    STORAGE = 7
    RESTART = 8
    """Not an end: another version of the agent takes over in the same process."""


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """What a code means to a person: a sentence, what to do, and the exit code."""

    sentence: str
    remedy: str
    exit_code: ExitCode = ExitCode.INTERNAL


_EXIT_CODES: Mapping[str, ExitCode] = MappingProxyType(
    {
        "internal": ExitCode.INTERNAL,
        "config_invalid": ExitCode.USAGE,
        "config_unreadable": ExitCode.USAGE,
        "policy_unusable": ExitCode.USAGE,
        "not_enrolled": ExitCode.USAGE,
        "already_running": ExitCode.LOCKED,
        "state_unusable": ExitCode.STORAGE,
        "server_unreachable": ExitCode.UNREACHABLE,
        "server_busy": ExitCode.UNREACHABLE,
        "server_answer_invalid": ExitCode.API,
        "enrollment_refused": ExitCode.REFUSED,
        "certificate_refused": ExitCode.REFUSED,
        "credential_refused": ExitCode.REFUSED,
        "instance_conflict": ExitCode.REFUSED,
        "request_refused": ExitCode.API,
        "no_free_slot": ExitCode.INTERNAL,
        "no_free_cores": ExitCode.INTERNAL,
        "gpu_unavailable": ExitCode.INTERNAL,
        "script_type_unsupported": ExitCode.INTERNAL,
        "package_refused": ExitCode.INTERNAL,
        "plugin_unknown": ExitCode.INTERNAL,
        "plugin_state_full": ExitCode.INTERNAL,
        "policy_denied": ExitCode.INTERNAL,
        "path_unusable": ExitCode.INTERNAL,
        "file_exists": ExitCode.INTERNAL,
        "file_changed": ExitCode.INTERNAL,
        "archive_refused": ExitCode.INTERNAL,
        "digest_mismatch": ExitCode.INTERNAL,
        "offset_gap": ExitCode.INTERNAL,
        "invalid_token": ExitCode.REFUSED,
        "disk_full": ExitCode.INTERNAL,
        "offer_invalid": ExitCode.INTERNAL,
        "upgrade_not_built": ExitCode.INTERNAL,
        "upgrade_not_fetched": ExitCode.INTERNAL,
        "upgrade_not_genuine": ExitCode.INTERNAL,
        "upgrade_taken_back": ExitCode.INTERNAL,
    }
)
"""The codes that the agent raises, and how the program ends with each."""

CATALOGUE: Mapping[str, ErrorEntry] = MappingProxyType(
    {
        code: ErrorEntry(CODES[code].sentence, CODES[code].remedy, exit_code)
        for code, exit_code in _EXIT_CODES.items()
    }
)


class AgentError(Exception):
    """Base of all errors of the agent: a stable code and a sentence about this case."""

    default_code = "internal"

    def __init__(self, detail: str = "", *, code: str = "") -> None:
        """Keep the detail; without one the catalogue's sentence stands in."""
        self.code = code or self.default_code
        self.detail = detail or self.entry.sentence
        super().__init__(self.detail)

    @property
    def entry(self) -> ErrorEntry:
        """Return the catalogue's entry; a code that nobody knows reads as `internal`.

        Codes of the server reach the agent in its answers and have their own remedies.
        """
        if self.code in CATALOGUE:
            return CATALOGUE[self.code]
        explained = CODES.get(self.code)
        if explained is None:
            return CATALOGUE["internal"]
        return ErrorEntry(explained.sentence, explained.remedy)

    @property
    def remedy(self) -> str:
        """Return what a person can do about it."""
        return self.entry.remedy

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of a program that ends with this error."""
        return self.entry.exit_code


class Retryable(AgentError):
    """It may work later: back off and try again; retry_after_seconds is the server's wish."""

    default_code = "server_unreachable"

    def __init__(
        self, detail: str = "", *, code: str = "", retry_after_seconds: float | None = None
    ) -> None:
        """Keep the detail and how long the other side asked to wait."""
        super().__init__(detail, code=code)
        self.retry_after_seconds = retry_after_seconds


class Terminal(AgentError):
    """Trying again cannot help: end with the entry's exit code, or take the slow lane."""


class Rejected(AgentError):
    """This one request is refused for good; everything else goes on."""

    default_code = "request_refused"


class ConfigError(Terminal):
    """A setting cannot be used; names the key, where its value came from, and the remedy."""

    default_code = "config_invalid"

    def __init__(self, key: str, origin: str, problem: str, remedy: str, *, code: str = "") -> None:
        """Keep the four parts; problem must not contain a secret's value."""
        self.key = key
        self.origin = origin
        self.problem = problem
        self._remedy = remedy
        super().__init__(f"{key} ({origin}): {problem}. {remedy}", code=code)

    @property
    def remedy(self) -> str:
        """Return the remedy of this very setting."""
        return self._remedy
