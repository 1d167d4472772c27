"""From what is wrong to what is written into the outbox."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from tasks.alerts.models import Alert, Delivery
from tasks.alerts.services import outbox
from tasks.alerts.services.evaluate import evaluate
from tasks.alerts.services.rules import update_rule


def test_problem_is_told_once_and_then_its_recovery(rule, receiver, wrong, problem) -> None:
    wrong.append(problem())
    assert [evaluate(), evaluate()] == [1, 0]
    wrong.clear()
    assert [evaluate(), evaluate()] == [1, 0]
    outbox.send_due(timezone.now())
    kinds = [notice["kind"] for body in receiver.got for notice in body["notices"]]
    assert kinds == ["fired", "recovered"]


def test_problem_that_comes_back_is_a_new_alert(rule, wrong, problem) -> None:
    wrong.append(problem())
    evaluate()
    wrong.clear()
    evaluate()
    wrong.append(problem())
    assert evaluate() == 1
    assert Alert.objects.count() == 2


def test_momentary_problem_is_told_once(rule, wrong, problem) -> None:
    wrong.append(problem("task:1", event="task_failed", is_momentary=True))
    assert [evaluate(), evaluate()] == [1, 0]
    wrong.clear()
    assert evaluate() == 0


def test_problems_within_the_window_leave_together(rule, principal, wrong, problem) -> None:
    update_rule(rule, by=principal, fields={"group_seconds": 30})
    wrong.append(problem("probe:1"))
    evaluate()
    wrong.append(problem("probe:2"))
    evaluate()
    delivery = Delivery.objects.get()
    assert [notice["key"] for notice in delivery.notices] == ["probe:1", "probe:2"]


def test_recovery_is_silent_when_the_rule_says_so(rule, principal, wrong, problem) -> None:
    update_rule(rule, by=principal, fields={"tells_recovery": False})
    wrong.append(problem())
    evaluate()
    wrong.clear()
    assert evaluate() == 0
    assert not Alert.objects.filter(closed_at=None).exists()


def test_reminder_comes_after_its_pause(rule, principal, wrong, problem) -> None:
    update_rule(rule, by=principal, fields={"renotify_seconds": 60})
    wrong.append(problem())
    start = timezone.now() + timedelta(seconds=1)
    counts = [evaluate(start + timedelta(seconds=at)) for at in (0, 30, 61, 62, 122)]
    assert counts == [1, 0, 1, 0, 1]


def test_rule_that_stops_watching_calls_nothing_recovered(rule, principal, wrong, problem) -> None:
    wrong.append(problem())
    evaluate()
    update_rule(rule, by=principal, fields={"events": ["agent_lost"]})
    assert evaluate() == 0


def test_disabled_rule_is_silent(rule, principal, wrong, problem) -> None:
    update_rule(rule, by=principal, fields={"is_enabled": False})
    wrong.append(problem())
    assert evaluate() == 0


def test_more_notices_than_a_message_holds_are_counted(rule, wrong, problem) -> None:
    wrong.extend(problem(f"probe:{number}") for number in range(60))
    evaluate()
    delivery = Delivery.objects.get()
    assert (len(delivery.notices), delivery.omitted) == (50, 10)


def test_news_do_not_wait_behind_a_message_that_failed(rule, receiver, wrong, problem) -> None:
    wrong.append(problem("probe:1"))
    evaluate()
    receiver.status = 500
    outbox.send_due(timezone.now())
    receiver.status = 200
    wrong.append(problem("probe:2"))
    evaluate()
    outbox.send_due(timezone.now())
    assert [body["notices"][0]["key"] for body in receiver.got] == ["probe:1", "probe:2"]
