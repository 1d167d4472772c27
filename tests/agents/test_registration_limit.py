"""Failed registrations of one address are limited; right ones are not."""

from __future__ import annotations

import asyncio

import pytest

from agents import registration_endpoint
from agents.registration_limit import LIMIT, MAX_ORIGINS, WINDOW_SECONDS, RegistrationLimit
from dialer_platform.errors import TooMany, Unauthenticated
from tests.agents.asgi_client import call

REGISTER = "/api/v1/agents/register/"


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at its start."""
    return Clock()


@pytest.fixture
def limit(clock) -> RegistrationLimit:
    """A limit that nobody has used."""
    return RegistrationLimit(clock=clock)


def fail(limit: RegistrationLimit, address: str, error: type[Exception] = Unauthenticated) -> None:
    """Try once with a wrong token."""
    with pytest.raises(error), limit.attempt(address):
        raise error("no")


def test_failures_are_limited_by_address_and_forgotten_with_their_window(limit, clock):
    for _ in range(LIMIT):
        fail(limit, "192.0.2.1")
    with pytest.raises(TooMany), limit.attempt("192.0.2.1"):
        raise AssertionError("the token was looked at")
    fail(limit, "192.0.2.2")
    clock.now += WINDOW_SECONDS + 1
    fail(limit, "192.0.2.1")


def test_right_tokens_and_faults_of_the_server_are_not_counted(limit):
    for _ in range(LIMIT * 3):
        with limit.attempt("192.0.2.1"):
            pass
        fail(limit, "192.0.2.1", RuntimeError)


def test_addresses_of_one_network_share_the_limit(limit):
    for number in range(LIMIT):
        fail(limit, f"2001:db8::{number:x}")
    with pytest.raises(TooMany), limit.attempt("2001:db8::ffff"):
        raise AssertionError("the token was looked at")


def test_memory_is_bounded(limit):
    for number in range(MAX_ORIGINS + 10):
        fail(limit, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit._failures) == MAX_ORIGINS


@pytest.mark.django_db(transaction=True)
async def test_parallel_guesses_of_a_token_get_no_more_looks(monkeypatch):
    monkeypatch.setattr(registration_endpoint, "limit", RegistrationLimit())
    body = {"enroll_token": "dpe_wrong", "name": "h", "instance_id": "i"}
    answers = await asyncio.gather(*(call("POST", REGISTER, body) for _ in range(LIMIT + 15)))
    assert sorted(answer.status for answer in answers) == [401] * LIMIT + [429] * 15
    assert answers[-1].headers["retry-after"]


@pytest.mark.django_db(transaction=True)
async def test_address_is_read_from_a_trusted_proxy_only(monkeypatch, settings):
    monkeypatch.setattr(registration_endpoint, "limit", RegistrationLimit())
    settings.TRUSTED_PROXIES = frozenset()
    body = {"enroll_token": "dpe_wrong", "name": "h", "instance_id": "i"}
    forged = [{"x-forwarded-for": f"192.0.2.{number}"} for number in range(LIMIT + 1)]
    answers = [await call("POST", REGISTER, body, headers=headers) for headers in forged]
    assert answers[-1].status == 429
