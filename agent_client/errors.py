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


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """What a code means to a person: a sentence, what to do, and the exit code."""

    sentence: str
    remedy: str
    exit_code: ExitCode = ExitCode.INTERNAL


CATALOGUE: Mapping[str, ErrorEntry] = MappingProxyType(
    {
        "internal": ErrorEntry(
            "The agent met a condition it does not know.",
            "Report it with the log lines before it.",
        ),
        # The start of the program
        "config_invalid": ErrorEntry(
            "A setting has a value that cannot be used.",
            "Correct the named setting; `python -m agent_client check-config` shows all of them.",
            ExitCode.USAGE,
        ),
        "config_unreadable": ErrorEntry(
            "The configuration file cannot be read.",
            "Check that the file exists, is readable by this user and is valid YAML or JSON.",
            ExitCode.USAGE,
        ),
        "policy_unusable": ErrorEntry(
            "The host's policy file cannot be trusted or read.",
            "Make it a plain file of root or of the agent's user that nobody else may write.",
            ExitCode.USAGE,
        ),
        "not_enrolled": ErrorEntry(
            "This host has no credential and no enrolment token.",
            "Run `manage.py enroll` on the server and start with --server URL --enroll TOKEN.",
            ExitCode.USAGE,
        ),
        "already_running": ErrorEntry(
            "Another agent uses the same state directory.",
            "Stop it first, or give this one its own --state-dir.",
            ExitCode.LOCKED,
        ),
        "state_unusable": ErrorEntry(
            "The state directory cannot be written.",
            "Check its owner, its permissions and the free space of its file system.",
            ExitCode.STORAGE,
        ),
        # The server and the way to it
        "server_unreachable": ErrorEntry(
            "The server does not answer.",
            "Check its address, that it runs, and what stands between (proxy, firewall).",
            ExitCode.UNREACHABLE,
        ),
        "server_busy": ErrorEntry(
            "The server asks to come back later.",
            "Nothing to do: it is tried again with growing pauses.",
            ExitCode.UNREACHABLE,
        ),
        "server_answer_invalid": ErrorEntry(
            "The server's answer is not of this protocol.",
            "Check that the address is a Dialer server and that no proxy answers in its place.",
            ExitCode.API,
        ),
        "enrollment_refused": ErrorEntry(
            "The server does not accept the enrolment token.",
            "It may be used, expired or mistyped: create a new one with `manage.py enroll`.",
            ExitCode.REFUSED,
        ),
        "credential_refused": ErrorEntry(
            "The server does not accept the credential.",
            "It was revoked or belongs to another server: enrol this host again.",
            ExitCode.REFUSED,
        ),
        "protocol_unsupported": ErrorEntry(
            "The server does not speak this agent's protocol version.",
            "Bring agent and server to versions that belong together.",
            ExitCode.REFUSED,
        ),
        "request_refused": ErrorEntry(
            "The server refused the request.",
            "The detail names the field or the state that stands in the way.",
            ExitCode.API,
        ),
        # Offers that this host does not take
        "no_free_slot": ErrorEntry(
            "As many tasks run as this host allows at once.",
            "Wait, or raise task.max_concurrent_tasks.",
        ),
        "no_free_cores": ErrorEntry(
            "Too few CPU cores are free on this host.",
            "Wait, or ask for fewer cores.",
        ),
        "gpu_unavailable": ErrorEntry(
            "A GPU of the offer is missing or has too little free memory.",
            "See the host's page for what occupies it.",
        ),
        "script_type_unsupported": ErrorEntry(
            "This host has no interpreter for the script type.",
            "Install it, or name a host that has it.",
        ),
        "working_dir_missing": ErrorEntry(
            "The working directory does not exist on this host or may not be entered.",
            "Create it or correct the task.",
        ),
        "policy_denied": ErrorEntry(
            "The policy of this host does not allow what was asked.",
            "The host's owner can allow it in policy.yaml of the agent's state directory.",
        ),
        "draining": ErrorEntry(
            "This host takes no new tasks.",
            "Resume it on its page when the maintenance is over.",
        ),
        "disk_full": ErrorEntry(
            "Too little free space for another task.",
            "Free space on the file system of the state directory.",
        ),
        "offer_invalid": ErrorEntry(
            "The offer lacks something an agent needs.",
            "Bring agent and server to versions that belong together.",
        ),
        "start_failed": ErrorEntry(
            "The script could not be started.",
            "The detail has the operating system's words.",
        ),
        "supervisor_lost": ErrorEntry(
            "The task's supervisor ended without leaving an exit record.",
            "Look at the host's kernel log for an out-of-memory kill.",
        ),
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
        """Return the catalogue's entry; an unknown code reads as `internal`."""
        return CATALOGUE.get(self.code, CATALOGUE["internal"])

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
