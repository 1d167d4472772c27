"""What an exception says about a target: one table from errors to outcomes.

`down` is the target's doing, `error` the prober's own: only the first counts against
availability, so what is in doubt (no descriptor, no permission, a bug) is an error.
"""

from __future__ import annotations

import errno
import socket
import ssl

from agent_client.probes.kind import Finding, TargetDenied

MAX_ERROR_CHARACTERS = 500
CERTIFICATE_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""
_OWN_ERRNOS = {
    errno.EMFILE: "no_resources",
    errno.ENFILE: "no_resources",
    errno.ENOBUFS: "no_resources",
    errno.ENOMEM: "no_resources",
    errno.EADDRNOTAVAIL: "no_resources",
    errno.EPERM: "permission",
    errno.EACCES: "permission",
}
_TARGET_ERRNOS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.ENOTCONN: "reset",
    errno.ETIMEDOUT: "timeout",
}
_OWN_LOOKUP_ERRORS = {socket.EAI_MEMORY, socket.EAI_SYSTEM}


class ProtocolViolation(Exception):
    """The target answered something that its protocol does not allow."""


class AnswerTooLarge(Exception):
    """The target sent more than the probe may read."""


class CheckFailed(Exception):
    """The target answered, but not as expected; reason is `assertion` or `status`."""

    def __init__(self, text: str, reason: str = "assertion") -> None:
        """Say in one sentence what was expected and what came."""
        super().__init__(text)
        self.reason = reason


class SettingUnusable(Exception):
    """A setting that only this host can judge: a program that is missing, a right it lacks."""

    def __init__(self, text: str, reason: str = "config_invalid") -> None:
        """Say what is missing and what to do about it."""
        super().__init__(text)
        self.reason = reason


def finding_of(error: BaseException, phase: str) -> Finding:
    """Return the finding that an error during a phase amounts to; phases and details empty."""
    outcome, reason = _judge(error)
    text = _words(error) or type(error).__name__
    if reason == "crash":
        return crash(error)
    if reason == "timeout":
        text = f"no answer in time ({phase})" if phase else "no answer in time"
    return Finding(outcome, reason, phase, text[:MAX_ERROR_CHARACTERS])  # type: ignore[arg-type]


def crash(error: BaseException) -> Finding:
    """Return the finding for a mistake of the probe itself."""
    text = f"{type(error).__name__}: {error}"
    return Finding("error", "crash", "", text[:MAX_ERROR_CHARACTERS])


def _judge(error: BaseException) -> tuple[str, str]:
    """Return outcome and reason."""
    if isinstance(error, CheckFailed):
        return "down", error.reason
    if isinstance(error, SettingUnusable):
        return "error", error.reason
    if isinstance(error, ssl.SSLCertVerificationError):
        expired = error.verify_code == CERTIFICATE_HAS_EXPIRED
        return "down", "cert_expired" if expired else "tls"
    for kind, outcome, reason in _BY_TYPE:
        if isinstance(error, kind):
            return outcome, reason
    if isinstance(error, socket.gaierror):
        own = error.errno in _OWN_LOOKUP_ERRORS
        return ("error", "no_resources") if own else ("down", "dns")
    if isinstance(error, OSError):
        return _judge_errno(error.errno or 0)
    return "error", "crash"


_BY_TYPE: tuple[tuple[type[BaseException], str, str], ...] = (
    (TargetDenied, "error", "denied"),
    (ProtocolViolation, "down", "protocol"),
    (AnswerTooLarge, "down", "too_large"),
    # SSL errors are OSErrors with numbers of their own: before the table of errno.
    (ssl.SSLEOFError, "down", "reset"),
    (ssl.SSLError, "down", "tls"),
    (TimeoutError, "down", "timeout"),
    (UnicodeError, "error", "config_invalid"),
)


def _judge_errno(number: int) -> tuple[str, str]:
    if number in _OWN_ERRNOS:
        return "error", _OWN_ERRNOS[number]
    return "down", _TARGET_ERRNOS.get(number, "unreachable")


def _words(error: BaseException) -> str:
    """Return an error in words: the system's sentence without its number."""
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return str(error)
