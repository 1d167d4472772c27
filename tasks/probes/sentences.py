"""Says in the reader's language what agents and the kinds of probes say in English.

Agents know nothing of gettext, may be older than the server, and their sentences are
stored as they come; so a sentence is known by its wording here, at display only. Nothing
is ever decided by it. What is not known, such as an answer of the target, stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import get_language
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_noop as _

MAX_CHARACTERS = 600
OWN_LANGUAGE = "en"
SPOKEN_PARTS = frozenset({"why", "what", "remedy", "phase"})
"""Values that are sentences themselves; any other is a name, a number or a stranger's text."""

OF_KINDS = (
    _("did you mean %(near)s?"),
    _("remove it."),
    _("choose one of %(names)s."),
    _("%(name)s is not a kind of probe: %(remedy)s"),
    _("%(name)s is not a setting of %(kind)s probes: %(remedy)s"),
    _("Choose one of %(names)s."),
    _("Must be %(what)s."),
    _("Must be %(what)s, at least %(low)s, at most %(high)s."),
    _("Must be %(what)s, at most %(high)s long."),
    _("Must be %(what)s, at least %(low)s."),
    _("Must be %(what)s, at most %(high)s."),
    _("text"),
    _("a whole number"),
    _("a number"),
    _("true or false"),
    _("a list of texts"),
    _("an object of names and texts"),
    _("text, a number, true, false or null"),
    _("an IPv6 address is written [address]:port"),
    _("the port must be a number from 1 to 65535"),
    _("the host name is not valid"),
    _("it contains a space or a control character"),
    _("it must start with http:// or https://"),
    _("it must start with ws:// or wss://"),
    _("it must start with %(schemes)s"),
    _("it contains a user name; put it into the settings"),
    _("Not a host and port (%(why)s): write it like %(example)s."),
    _("Not a usable URL (%(why)s): write it like %(example)s."),
    _("Not a host (%(why)s): write it like gateway.example.com or 192.0.2.1."),
    _("the list is empty"),
    _("%(text)s is none"),
    _("List status codes like 200, 200-299 or 2xx: %(why)s."),
    _("Say with json_path where the value is."),
    _("Use a bearer token or a user name, not both."),
    _("Contains a control character: remove it."),
    _("%(text)s is not a header name: use letters, digits and hyphens."),
    _("%(name)s is set by the probe itself: remove it."),
    _("The value of %(name)s contains a line break: remove it."),
    _("The value of %(name)s is not ASCII: encode it."),
    _("This installation cannot match patterns: install the package google-re2."),
    _("The pattern is longer than %(limit)s characters: shorten it."),
    _("RE2 does not accept the pattern (%(error)s): correct it."),
    _("google-re2 is not installed"),
    _("cannot read %(text)s"),
    _('The path is wrong (%(why)s): write it like data.items[0].name or ["a b"].'),
    _("Contains half a character: remove it."),
    _("%(text)s is no escape: use \\r, \\n, \\t, \\0, \\xNN, or \\\\ for a backslash."),
    _("Contains a zero byte: remove it."),
    _("The configuration must be an object of settings."),
    _("The target must be text: %(example)s"),
    _("The target is longer than %(limit)s characters: shorten it."),
    _("The target contains a control character: remove it."),
    _("Use tls or starttls, not both."),
    _("Use expect or expect_regex, not both."),
    _("Write an address like https://example.com."),
)
OF_SYSTEMS = (
    _("Connection refused"),
    _("Connection reset by peer"),
    _("Connection timed out"),
    _("Broken pipe"),
    _("Network is unreachable"),
    _("No route to host"),
    _("Name or service not known"),
    _("Temporary failure in name resolution"),
    _("No address associated with hostname"),
    _("Operation not permitted"),
    _("Permission denied"),
    _("Too many open files"),
    _("Cannot assign requested address"),
    _("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: %(why)s (%(place)s)"),
    _("self-signed certificate"),
    _("self-signed certificate in certificate chain"),
    _("certificate has expired"),
    _("unable to get local issuer certificate"),
    _("Hostname mismatch, certificate is not valid for %(name)s."),
    _("IP address mismatch, certificate is not valid for %(name)s."),
)
OF_PROBES = (
    _("no report for longer than the interval"),
    _("no answer in time"),
    _("no answer in time (%(phase)s)"),
    _("connect"),
    _("send"),
    _("transfer"),
    _("too many names wait for the system's resolver"),
    _("took %(took)s ms, more than %(limit)s ms"),
    _("a certificate ends in %(days)s days"),
    _("exit code %(code)s"),
    _("exit code %(code)s: %(output)s"),
    _("the connection is closed"),
    _("closed without an answer"),
    _("closed in the head of its answer"),
    _("closed after %(count)s of %(size)s bytes"),
    _("sent no line within %(limit)s bytes"),
    _("closed before the end of a line"),
    _("%(file)s names no server: set the name server of the probe"),
    _("the answer belongs to another question"),
    _("has no %(type)s record for the name"),
    _("answers other questions than the one asked"),
    _("the answer cannot be read: %(error)s"),
    _("status %(status)s, expected %(expected)s: %(answer)s"),
    _("status %(status)s, expected %(expected)s"),
    _("answered %(code)s instead of opening a WebSocket"),
    _("answered %(code)s, expected %(expected)s"),
    _("redirected more than %(limit)s times"),
    _("redirects to %(address)s: %(why)s"),
    _("the body does not match %(pattern)s: %(answer)s"),
    _("the body matches %(pattern)s: %(answer)s"),
    _("the body is not JSON: %(answer)s"),
    _("the body is not %(coding)s"),
    _("the JSON has no %(path)s (at %(place)s)"),
    _("%(path)s is %(value)s, expected %(wanted)s"),
    _("sent interim answers without end"),
    _("does not speak HTTP/1: %(answer)s"),
    _("the status line is wrong: %(answer)s"),
    _("the content length is wrong: %(answer)s"),
    _("the head is longer than %(limit)s bytes"),
    _("a header is wrong: %(answer)s"),
    _("the body's framing is longer than the body may be"),
    _("the body is longer than %(limit)s bytes"),
    _("the body unpacks to more than %(limit)s bytes"),
    _("a chunk does not end where it should"),
    _("the line of a chunk's size is too long"),
    _("the size of a chunk is wrong: %(answer)s"),
    _("closed inside a chunk"),
    _("closed before the last chunk"),
    _("does not speak MySQL's protocol: %(answer)s"),
    _("does not greet as MySQL does: %(answer)s"),
    _("does not speak PostgreSQL's protocol: %(answer)s"),
    _("does not speak Redis' protocol: %(answer)s"),
    _("does not speak SMTP: %(answer)s"),
    _("does not speak SSH 2: %(answer)s"),
    _("sends no SSH banner: %(answer)s"),
    _("sends a reply without end"),
    _("the banner is %(answer)s"),
    _("the version is %(version)s"),
    _("refuses: %(answer)s"),
    _("%(command)s was answered %(answer)s"),
    _("the server does not offer TLS"),
    _("the server does not offer STARTTLS"),
    _("username and database must be given, without zero bytes"),
    _("%(loss)s %% of %(count)s packets were lost"),
    _("round trips take %(time)s ms"),
    _("the answer is not as expected: %(answer)s"),
    _("the message is not as expected: %(answer)s"),
    _("the message is longer than %(limit)s bytes"),
    _("the accept header does not belong to the key"),
    _("a server must not mask its frames"),
    _("sends control frames without end"),
    _("closed the WebSocket before any message"),
    _("The host's policy allows no %(kind)s probes."),
    _("Agents do not run %(kind)s probes."),
    _("The agent stopped."),
    _("%(host)s is a metadata service; the agent's policy denies it"),
    _(
        "%(host)s is %(address)s, which the agent's policy denies"
        " (probe_targets in its policy file)"
    ),
    _(
        "this host lets the agent send no ICMP: as root run"
        " sysctl -w net.ipv4.ping_group_range='0 2147483647', or give it CAP_NET_RAW"
    ),
)
_PLACE = re.compile(r"%\((\w+)\)s")


def said(text: str) -> str:
    """Return a sentence in the reader's language, unknown ones as they are."""
    language = get_language() or OWN_LANGUAGE
    if not text or len(text) > MAX_CHARACTERS or language.startswith(OWN_LANGUAGE):
        return text
    return _said(text, language)


@lru_cache(maxsize=2_048)
def _said(text: str, language: str) -> str:
    """Return a sentence in the active language, which is an argument only for the cache."""
    if (whole := _known(text, language)) is not None:
        return whole
    parts = text.split("; ")  # a run that is degraded may have several reasons
    found = [_known(part, language) or part for part in parts]
    return "；".join(found) if found != parts else text


def _known(text: str, language: str) -> str | None:
    """Return a sentence that is known, None for any other."""
    for wording, pattern in _patterns():
        if match := pattern.fullmatch(text):
            values = {
                name: _said(value, language) if name in SPOKEN_PARTS else value
                for name, value in match.groupdict().items()
            }
            return translate(wording) % values
    return None


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return each wording with the pattern that knows it, the most particular ones first."""
    wordings = (*OF_KINDS, *OF_SYSTEMS, *OF_PROBES)
    ordered = sorted(wordings, key=lambda one: ("%(" in one, -len(_PLACE.sub("", one))))
    return tuple((wording, _pattern(wording)) for wording in ordered)


def _pattern(wording: str) -> re.Pattern[str]:
    """Return the pattern of a wording; a value is anything, as short as it can be."""
    literals = _PLACE.split(wording.replace("%%", "%"))
    parts = [
        f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(literals)
    ]
    return re.compile("".join(parts), re.DOTALL)
