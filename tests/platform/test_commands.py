"""The commands of manage.py."""

from __future__ import annotations

from io import StringIO

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command

from agents.models import EnrolmentToken
from dialer_platform.accounts import authentication
from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Membership, Tenant, User
from dialer_platform.launch import diagnosis


def run(*args: str) -> list[str]:
    """Run a command and return the lines it printed."""
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue().splitlines()


def test_token_stands_alone_on_the_last_line(operator_user):
    principal = authentication.principal_by_token(run("token", "oscar")[-1])
    assert principal is not None
    assert (principal.name, principal.tenant_id) == ("oscar", "default")


def test_token_can_be_narrowed(operator_user):
    principal = authentication.principal_by_token(run("token", "oscar", "--scope", "read")[-1])
    assert principal is not None
    assert principal.token_scope == "read"


@pytest.mark.parametrize("args", [("nobody",), ("oscar", "--tenant", "other")])
def test_token_is_refused_for_strangers(operator_user, other_tenant, args):
    with pytest.raises(CommandError):
        run("token", *args)


def test_enroll_prints_the_token_and_the_command_to_paste(tenant):
    first, second = run("enroll", "--url", "https://x.example/")
    assert first.startswith("dpe_")
    assert second.startswith(f"DIALER_ENROLL_TOKEN={first} python3 -c ")
    assert "https://x.example/agent/install.py" in second
    assert EnrolmentToken.objects.get().tenant == tenant


@pytest.mark.parametrize("args", [("--tenant", "nowhere"), ("--uses", "0"), ("--hours", "0")])
def test_enroll_refuses_nonsense(tenant, args):
    with pytest.raises(CommandError):
        run("enroll", *args)


def test_tenant_prints_its_id(db):
    assert run("tenant", "Lab Two") == ["lab-two"]
    with pytest.raises(CommandError):
        run("tenant", "Lab Two")
    assert Tenant.objects.filter(id="lab-two").exists()


def test_user_is_made_with_a_printed_password(other_tenant):
    lines = run("user", "nora", "--tenant", "other", "--role", "viewer")
    user = User.objects.get(username="nora")
    assert user.check_password(lines[-1].rpartition(" ")[2])
    assert user.memberships.get().tenant == other_tenant


def test_given_password_is_not_printed(tenant):
    lines = run("user", "nora", "--role", "operator", "--password", "correct horse battery")
    assert not any("horse" in line for line in lines)


def test_known_user_gets_a_role_in_another_tenant(operator_user, other_tenant):
    run("user", "oscar", "--tenant", "other", "--role", "admin")
    assert Membership.objects.get(user=operator_user, tenant=other_tenant).role == Role.ADMIN


@pytest.mark.parametrize(
    "args",
    [
        ("nora", "--tenant", "nowhere"),
        ("nora", "--password", "123"),
        ("a b",),
        ("nora", "--role", "boss"),
    ],
)
def test_user_refuses_nonsense(tenant, args):
    with pytest.raises(CommandError):
        run("user", *args)
    assert not User.objects.exists()


BOTH = pytest.mark.django_db(databases=list(project.DATABASES))


@BOTH
def test_doctor_fails_with_a_remedy_when_nobody_can_administer(db):
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    assert "nobody can administer this" in out.getvalue()
    assert "-> manage.py up" in out.getvalue()


@BOTH
def test_doctor_is_content_with_a_sound_installation(superuser, settings):
    settings.DIALER_DATA_DIR.chmod(0o700)
    assert not [f for f in diagnosis.findings() if f.level == "fail" and f.name != "disk space"]


def test_doctor_goes_on_when_one_check_breaks(superuser, monkeypatch):
    def check_broken_part():
        raise OSError("gone")

    monkeypatch.setattr(diagnosis, "CHECKS", (check_broken_part, diagnosis.check_python))
    broken, python = diagnosis.findings()
    assert (broken.name, broken.level, python.level) == ("broken part", "fail", "ok")


@pytest.mark.parametrize(("free", "level"), [(10**12, "ok"), (10**9, "warn"), (10**6, "fail")])
def test_doctor_looks_at_the_disk(monkeypatch, free, level):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: usage)
    assert diagnosis.check_disk_space().level == level


def test_doctor_notices_a_redis_that_does_not_answer(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert diagnosis.check_redis().level == "fail"
