"""The fixed cast of every test: people of one tenant, a stranger of another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from django.conf import settings
from django.test import Client
from rest_framework.test import APIClient

from agents import connections, credentials, fleet, hot, release_duty
from dialer_platform import runtime
from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Membership, Tenant, User
from dialer_platform.accounts.principal import Principal, principal_for
from tests.e2e import prepared

PASSWORD = "correct horse battery"
LONGEST_ID = 60

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix, tmp_path_factory
) -> None:
    """Keep the test database in a file: threads of the server share it as they do for real.

    SQLite's shared in-memory database answers a second thread with "table is locked".
    """
    for name, database in settings.DATABASES.items():
        if database["ENGINE"].endswith("sqlite3"):
            path = tmp_path_factory.mktemp("database") / f"{name}.sqlite3"
            database.setdefault("TEST", {})["NAME"] = str(path)


@pytest.fixture(scope="session", autouse=True)
def _shared_first_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all workers of this run share one prepared data directory."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    prepared.home = (base.parent if is_worker else base) / "first-start"


@pytest.fixture(autouse=True)
def _fast_and_quiet(settings, monkeypatch):
    """Hash passwords fast, and start no background services for a mere request."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(runtime, "ensure_started", lambda: None)


@pytest.fixture(autouse=True)
def _hosts_forgotten() -> Iterator[None]:
    """Forget the hosts of a test: the next one's tasks would be given to them."""
    yield
    for memory in (hot, fleet, credentials, release_duty):
        memory.clear()
    connections._connections.clear()


@pytest.fixture
def tenant(db) -> Tenant:
    """Return the default tenant."""
    return Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})[0]


@pytest.fixture
def other_tenant(db) -> Tenant:
    """Return a tenant that must see nothing of the first one."""
    return Tenant.objects.create(id="other", name="Other")


def _member(name: str, tenant: Tenant, role: Role) -> User:
    """Make a user with one role in one tenant."""
    user = User.objects.create_user(name, password=PASSWORD)
    Membership.objects.create(user=user, tenant=tenant, role=role)
    return user


@pytest.fixture
def admin_user(tenant) -> User:
    """Return the administrator of the default tenant (not a superuser)."""
    return _member("alice", tenant, Role.ADMIN)


@pytest.fixture
def operator_user(tenant) -> User:
    """Return an operator of the default tenant."""
    return _member("oscar", tenant, Role.OPERATOR)


@pytest.fixture
def viewer_user(tenant) -> User:
    """Return a viewer of the default tenant."""
    return _member("vera", tenant, Role.VIEWER)


@pytest.fixture
def stranger(other_tenant) -> User:
    """Return the administrator of another tenant."""
    return _member("steve", other_tenant, Role.ADMIN)


@pytest.fixture
def superuser(tenant) -> User:
    """Return the owner of the installation."""
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def principal(admin_user) -> Principal:
    """Return the administrator as services know them."""
    found = principal_for(admin_user)
    assert found is not None
    return found


@pytest.fixture
def api_client(db) -> Callable[[User], APIClient]:
    """Return a function that makes a REST client signed in as a user."""

    def make(user: User) -> APIClient:
        client = APIClient()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def page_client(db) -> Callable[[User], Client]:
    """Return a function that makes a browser client signed in as a user."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the seeds of what was drawn at random, also when all went well."""
    for report in (one for found in terminalreporter.stats.values() for one in found):
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name.endswith("_SEED"):
                    terminalreporter.write_line(f"{name}={value} {report.nodeid}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the end-to-end tests of a module on one worker: they share an installation."""
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter of many characters by its beginning: reports stay readable."""
    if not isinstance(val, str | bytes) or len(val) <= LONGEST_ID:
        return None
    return f"{argname} of {len(val)}: {val[:20]!r}"
