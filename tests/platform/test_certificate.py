"""The server's own certificate: what is taken, what stops the start, and what the doctor says."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from dialer_platform import checks
from dialer_platform.launch import certificate, diagnosis
from dialer_platform.serving.tls import options_of
from tests.agent_client.probes.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority) -> tuple[str, str]:
    file, key = authority.files()
    return str(file), str(key)


def test_nothing_is_loaded_when_nothing_is_set():
    assert certificate.load("", "") is None


def test_first_certificate_is_the_servers_and_the_rest_its_chain(pair):
    found = certificate.load(*pair)
    assert found is not None
    assert found.certificate.subject.rfc4514_string() == "CN=localhost"
    assert [one.subject.rfc4514_string() for one in found.chain] == ["CN=intermediate"]
    assert "key" not in repr(found)


def test_fingerprint_is_what_openssl_prints(pair):
    found = certificate.load(*pair)
    printed = subprocess.run(
        ["openssl", "x509", "-in", pair[0], "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found is not None
    assert printed.strip().partition("=")[2].replace(":", "").lower() == found.fingerprint


def test_text_is_as_good_as_a_path(pair):
    text = [Path(one).read_text() for one in pair]
    found, named = certificate.load(*text), certificate.load(*pair)
    assert found is not None
    assert named is not None
    assert found.fingerprint == named.fingerprint


def test_old_versions_of_tls_are_refused(pair):
    found = certificate.load(*pair)
    assert found is not None
    assert options_of(found)._options & ssl.OP_NO_TLSv1_1


def protected(key: str) -> str:
    private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    ).decode()


CASES = {
    "no key": (lambda c, k, o: (c, ""), "DIALER_TLS_KEY"),
    "no certificate": (lambda c, k, o: ("", k), "DIALER_TLS_CERT"),
    "missing file": (lambda c, k, o: ("/nowhere/cert.pem", k), "DIALER_TLS_CERT: /nowhere"),
    "missing key": (lambda c, k, o: (c, "/nowhere/key.pem"), "DIALER_TLS_KEY: /nowhere"),
    "swapped": (lambda c, k, o: (k, c), "DIALER_TLS_CERT holds no certificate"),
    "no key in it": (lambda c, k, o: (c, c), "DIALER_TLS_KEY holds no private key"),
    "of another": (lambda c, k, o: (c, o), "DIALER_TLS_KEY does not belong"),
    "passphrase": (lambda c, k, o: (c, protected(k)), "DIALER_TLS_KEY is protected"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_used_stops_the_start_and_names_the_setting(settings, authority, pair, case):
    other = str(authority.files("other")[1])
    make, sentence = CASES[case]
    settings.TLS_CERT, settings.TLS_KEY = make(*pair, other)
    (message,) = checks.check_certificate(None)
    assert message.id == "dialer.E005"
    assert sentence in message.msg
    assert message.hint
    assert diagnosis.check_certificate().level == "fail"


def test_server_with_a_certificate_may_listen_for_others(settings):
    settings.IS_LOOPBACK = settings.BEHIND_TLS = settings.ALLOW_PLAIN_HTTP = False
    settings.SERVES_TLS, settings.DEBUG = True, False
    assert checks.check_reachability(None) == []


@pytest.mark.parametrize(("days", "level"), [(31, "ok"), (29, "warn"), (-1, "fail")])
def test_doctor_warns_a_month_before_the_end(settings, authority, days, level):
    file, key = authority.files("soon", days)
    settings.TLS_CERT, settings.TLS_KEY = str(file), str(key)
    found = diagnosis.check_certificate()
    assert found.level == level
    assert "valid until" in found.text
    assert "Renew it" in found.remedy


def test_doctor_does_not_mind_a_server_without_one(settings):
    settings.TLS_CERT = settings.TLS_KEY = ""
    assert diagnosis.check_certificate().level == "ok"
