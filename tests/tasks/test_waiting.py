"""The sentence on where a task stands."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Refused
from agents import fleet
from agents.models import Agent
from dialer_platform.errors import Invalid
from tasks.endings_text import exit_code_meaning
from tasks.hot_reads import RESERVE_AFTER
from tasks.models import Task
from tasks.services.cancel import cancel_task
from tasks.waiting import preview, reason_sentence, reason_sentences
from tests.tasks.conftest import FIELDS, fresh

pytestmark = pytest.mark.django_db


def test_blocked_task_names_what_it_waits_for(host, submit):
    first = submit(name="prepare")
    task = submit(depends_on=[first.pk])
    assert reason_sentence(task) == f"Waits for #{first.pk} prepare."


def test_blocked_task_leaves_out_what_completed(host, submit):
    done, other = host.run(submit(name="done")), submit(name="open")
    task = submit(depends_on=[done.pk, other.pk])
    host.finish(done)
    assert reason_sentence(fresh(task)) == f"Waits for #{other.pk} open."


def test_blocked_task_names_five_at_most(submit):
    others = [submit() for _ in range(7)]
    task = submit(depends_on=[other.pk for other in others])
    assert reason_sentence(task).endswith("and 2 more.")


@pytest.mark.parametrize(
    ("facts", "fields", "sentence"),
    [
        ({"slots": 0}, {}, "No known agent could ever run it: box takes no tasks."),
        (
            {"cpu_cores": 2},
            {"cpu_cores": 4},
            "No known agent could ever run it: needs 4 CPU cores, box has 2 in all.",
        ),
        (
            {},
            {"gpu_count": 1},
            "No known agent could ever run it: needs 1 GPU, box has 0 in all.",
        ),
        ({"status": "offline"}, {}, "box would fit, but is offline."),
        (
            {"is_draining": True},
            {},
            "box would fit, but is drained or paused and takes no new tasks.",
        ),
        (
            {},
            {"labels": {"zone": "lab"}},
            "No known agent could ever run it: box lacks the label zone=lab.",
        ),
        (
            {},
            {"script_type": "powershell"},
            "No known agent could ever run it: box cannot run powershell scripts.",
        ),
    ],
)
def test_waiting_task_names_the_closest_host_and_what_it_lacks(
    new_host, submit, facts, fields, sentence
):
    new_host(**facts)
    assert reason_sentence(submit(**fields)) == sentence


def test_waiting_task_without_hosts_says_so(submit):
    assert reason_sentence(submit()).endswith("no agent is enrolled yet.")


def test_waiting_task_counts_what_others_have_booked(new_host, submit):
    new_host(cpu_cores=4)
    submit(cpu_cores=3)
    assert reason_sentence(submit(cpu_cores=2)) == "Needs 2 CPU cores; box has 1 free."


def test_waiting_task_says_that_all_slots_are_taken(new_host, submit):
    new_host(slots=1)
    submit()
    assert reason_sentence(submit()) == "The only slot of box is taken."


def test_waiting_sentence_of_a_held_gpu_names_it(new_host, submit):
    foreign = [{"pid": 1, "memory_mb": 9_000}]
    gpu = {"uuid": "G", "index": 0, "memory_total": 24_000, "memory_used": 9_000}
    new_host(gpu_info=[{**gpu, "foreign": foreign}])
    task = submit(gpu_count=1)
    assert "processes outside the queue occupy GPU 0 of box" in reason_sentence(task)


def test_offered_task_names_its_host(host, submit):
    assert reason_sentence(submit()) == "Offered to box, which has not confirmed yet."


def test_running_task_has_nothing_to_say(host, submit):
    assert reason_sentence(host.run(submit())) == ""


def test_running_task_says_when_its_host_is_silent(host, submit):
    task = host.run(submit())
    type(host.agent).objects.update(status="offline")
    assert reason_sentence(fresh(task)) == "box is silent; the task may still be running there."


def test_canceling_task_says_who_asked(host, submit, principal):
    task = host.run(submit())
    cancel_task(task, by=principal)
    assert reason_sentence(fresh(task)) == "Being stopped, as alice asked."


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"exit_code": 0}, ""),
        ({"exit_code": 3}, "The script ended with exit code 3."),
        ({"exit_code": 127}, "Exit code 127: a command was not found."),
        ({"exit_code": None, "signal": 9}, "The script was ended by SIGKILL."),
        ({"reason": "timeout", "exit_code": None}, "Stopped: its time limit was reached."),
        ({"reason": "host_reboot", "exit_code": None}, "box was restarted while it ran."),
        (
            {"reason": "start_failed", "exit_code": None, "detail": "no bash"},
            "The script could not be started on box. no bash",
        ),
    ],
)
def test_ended_task_says_how(host, submit, facts, sentence):
    task = host.run(submit())
    host.finish(task, **facts)
    assert reason_sentence(fresh(task)) == sentence


def test_canceled_task_says_by_whom(submit, principal):
    task = submit()
    cancel_task(task, by=principal)
    assert reason_sentence(fresh(task)) == "Canceled by alice."


def test_task_canceled_by_a_dependency_names_it(submit, principal):
    first = submit()
    task = submit(depends_on=[first.pk])
    cancel_task(first, by=principal)
    assert reason_sentence(fresh(task)).endswith(f"did not complete: #{first.pk}.")


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, ""), (126, "could not be executed"), (137, "lack of memory"), (143, "SIGTERM")],
)
def test_exit_code_has_a_meaning(code, words):
    assert words in exit_code_meaning(code)


def test_many_sentences_cost_a_constant_number_of_queries(
    host, submit, django_assert_max_num_queries
):
    first = submit()
    for _ in range(10):
        submit(cpu_cores=99)
        submit(depends_on=[first.pk])
    tasks = list(Task.objects.shown())
    with django_assert_max_num_queries(2):
        assert len(reason_sentences(tasks)) == 21


# --- before submission --------------------------------------------------------


def test_preview_says_that_the_task_could_start(host, principal):
    assert preview(principal, FIELDS) == "Could start now on box."


def test_preview_says_why_the_task_would_wait(host, principal):
    assert preview(principal, {**FIELDS, "cpu_cores": 99}).startswith("Would wait: No known agent")


def test_preview_names_unfinished_dependencies(submit, principal):
    first = submit()
    assert preview(principal, {**FIELDS, "depends_on": [first.pk]}) == (
        f"Would wait for #{first.pk}."
    )


def test_preview_of_half_a_form_looks_at_what_is_there(host, principal):
    assert preview(principal, {"cpu_cores": 1}) == "Could start now on box."


def test_preview_refuses_what_submission_would_refuse(principal):
    with pytest.raises(Invalid):
        preview(principal, {"cpu_cores": -1})


@pytest.fixture
def overdue(host, submit):
    """A task for the whole host that has waited long while a smaller one runs there."""
    host.run(submit(cpu_cores=1))
    task = submit(name="big", cpu_cores=host.agent.cpu_cores)
    Task.objects.filter(pk=task.pk).update(created_time=timezone.now() - RESERVE_AFTER * 2)
    return task


def test_overdue_task_says_which_host_is_kept_for_it(overdue):
    assert reason_sentence(fresh(overdue)) == "box is kept free for it until enough is there."


def test_task_behind_an_overdue_one_names_it(overdue, submit):
    later = submit(cpu_cores=1)
    expected = f"box is kept free for #{overdue.pk}, which has waited longer."
    assert (later.phase, reason_sentence(fresh(later))) == ("queued", expected)


def test_more_urgent_task_passes_an_overdue_one(overdue, submit):
    assert submit(cpu_cores=1, priority=1).phase == "offered"


def test_task_that_a_host_refused_says_so_in_the_hosts_words(host, submit):
    task = submit(agent_id=host.agent.pk)
    detail = "The host's policy does not allow it (work: scripts)."
    host.say(
        Refused(
            message_id="r", task_id=task.pk, offer=task.offer, code="policy_denied", detail=detail
        )
    )
    assert reason_sentence(fresh(task)) == f"box refused it: {detail}"


def test_task_that_fits_nowhere_says_what_it_lacks_although_it_was_refused(host, submit):
    task = submit(agent_id=host.agent.pk)
    host.refuse(task)
    Agent.objects.update(is_draining=True)
    fleet.clear()
    assert "is drained" in reason_sentence(fresh(task))
