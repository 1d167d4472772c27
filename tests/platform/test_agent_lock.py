"""The lock of the agent's packages: the wheels that a Linux host may need, and no other file."""

from __future__ import annotations

import pytest

from dialer_platform.management.commands.agent_lock import lock

FITTING = (
    "re2-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    "re2-1.0-1-cp314-cp314-manylinux_2_28_aarch64.whl",
    "re2-1.0-cp36-abi3-musllinux_1_2_x86_64.whl",
    "re2-1.0-py3-none-any.whl",
)
OTHERS = (
    "re2-1.0.tar.gz",
    "re2-1.1-py3-none-any.whl",
    "re2-1.0-cp310-cp310-manylinux_2_28_x86_64.whl",
    "re2-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
    "re2-1.0-pp311-pypy311_pp73-manylinux_2_28_x86_64.whl",
    "re2-1.0-cp311-cp311-win_amd64.whl",
)


def offered(*names: str) -> list[dict[str, object]]:
    return [{"filename": name, "hashes": {"sha256": f"digest of {name}"}} for name in names]


def test_lock_names_what_fits_a_linux_host_and_nothing_else():
    text = lock(["re2==1.0"], lambda _name: offered(*FITTING, *OTHERS))
    assert {name for name in FITTING + OTHERS if f"digest of {name}" in text} == set(FITTING)
    assert text.splitlines()[1] == "re2==1.0 \\"


def test_lock_refuses_a_pin_without_a_wheel():
    with pytest.raises(ValueError, match="no wheel of re2==2"):
        lock(["re2==2.0"], lambda _name: offered(*FITTING))
