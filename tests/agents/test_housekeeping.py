"""Periodic work: registered, bounded, harmless when repeated."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import history, housekeeping
from agents.models import EnrolmentToken
from agents.services import presence
from agents.services.enrolment import create_enrolment_token
from dialer_platform.housekeeping import jobs


def test_jobs_are_registered():
    names = [job.name for job in jobs() if job.name.startswith("agents: ")]
    assert len(names) == 6


@pytest.mark.django_db
def test_tokens_are_deleted_a_month_after_their_end(tenant):
    for days in (-1, 10, 31):
        token, _ = create_enrolment_token(actor="x", tenant=tenant)
        EnrolmentToken.objects.filter(id=token.id).update(
            expires_at=timezone.now() - timedelta(days=days)
        )
    assert (housekeeping.delete_old_tokens(), housekeeping.delete_old_tokens()) == (1, 0)
    assert EnrolmentToken.objects.count() == 2


@pytest.mark.django_db
def test_history_of_hosts_long_gone_is_deleted(agent):
    folder = history.path_of(agent.id).parent
    folder.mkdir(parents=True)
    old = time.time() - housekeeping.KEEP_FOREIGN_FILES_SECONDS - 1
    for name in (agent.id, "a-gone"):
        (folder / f"{name}.jsonl").write_text("")
        os.utime(folder / f"{name}.jsonl", (old, old))
    housekeeping.trim_history()
    assert [path.stem for path in history.files()] == [agent.id]


def test_silent_hosts_are_marked(monkeypatch):
    calls = []
    monkeypatch.setattr(presence, "mark_silent_agents", lambda: calls.append(1) or ["a-1"])
    housekeeping.mark_silent()
    assert calls == [1]
