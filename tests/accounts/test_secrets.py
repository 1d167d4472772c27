"""Credentials as text."""

from __future__ import annotations

import pytest

from dialer_platform.accounts import secrets


def test_credential_is_found_again_when_just_made():
    fresh = secrets.make("dpu")
    parsed = secrets.parse(fresh.text, prefix="dpu")
    assert parsed is not None
    assert parsed.public_id == fresh.public_id
    assert secrets.matches(parsed, fresh.secret_sha256)


def test_secret_never_repeats_and_is_not_kept():
    one, two = secrets.make("dpa"), secrets.make("dpa")
    assert one.text != two.text
    assert one.text.split("_")[2] not in (one.public_id, one.secret_sha256)


def test_secret_holds_256_bits_when_made():
    assert 62**secrets.SECRET_CHARACTERS >= 2**256


@pytest.mark.parametrize(
    "mangle",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text.replace("dpu_", "dpa_"),
        lambda text: text[1:],
        lambda text: text + "x",
        lambda text: "",
        lambda text: "dpu___",
        lambda text: "é" + text,
        lambda text: text * 9,
        lambda text: text.swapcase(),
    ],
)
def test_parse_refuses_when_mangled(mangle):
    assert secrets.parse(mangle(secrets.make("dpu").text), prefix="dpu") is None


def test_matches_refuses_when_secret_is_another():
    one, two = secrets.make("dpe"), secrets.make("dpe")
    parsed = secrets.parse(one.text, prefix="dpe")
    assert parsed is not None
    assert not secrets.matches(parsed, two.secret_sha256)
