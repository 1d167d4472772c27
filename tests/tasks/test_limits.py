"""Who a task runs as and what it is held to, from the submission to the host."""

from __future__ import annotations

import msgspec
import pytest

from dialer_platform.errors import Invalid
from tasks.forms import TaskForm
from tasks.services.rerun import rerun_task
from tasks.services.specs import spec_of
from tests.tasks.conftest import FIELDS, fresh

pytestmark = pytest.mark.django_db


def test_limits_and_user_reach_the_host(host, submit):
    limits = {"memory_mb": 100, "processes": 5, "open_files": 64, "nice": 3}
    spec = spec_of(fresh(submit(run_as="build", limits=limits)))
    assert spec.run_as == "build"
    assert msgspec.structs.asdict(spec.limits) == limits


def test_task_without_limits_says_none_to_the_host(submit):
    assert spec_of(fresh(submit(limits={"memory_mb": None}))).limits is None


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("run_as", "../root", "Must be the name of a user of the host."),
        ("run_as", "a" * 33, "At most 32 characters."),
        ("run_as", 0, "Must be text."),
        ("limits", [1], "Must be an object of limits."),
        ("limits", {"ram": 1}, "ram is not a limit; use memory_mb"),
        ("limits", {"memory_mb": 0}, "memory_mb: Must be between 1 and"),
        ("limits", {"nice": -5}, "nice: Must be between 0 and 19."),
        ("limits", {"open_files": True}, "open_files: Must be a whole number."),
    ],
)
def test_user_or_limit_that_cannot_be_is_refused(submit, field, value, sentence):
    with pytest.raises(Invalid) as caught:
        submit(**{field: value})
    assert sentence in caught.value.fields[field][0]


def test_rerun_keeps_user_and_limits(submit, principal):
    task = submit(run_as="build", limits={"nice": 3})
    again = rerun_task(task, by=principal)
    assert (again.run_as, again.limits) == ("build", {"nice": 3})


def test_form_takes_limits_as_people_write_them():
    form = TaskForm({**FIELDS, "limits": "memory_mb=100, nice=3", "run_as": "build"}, agents=[])
    assert form.is_valid()
    assert form.request_fields["limits"] == {"memory_mb": 100, "nice": 3}
    assert form.request_fields["run_as"] == "build"


@pytest.mark.parametrize("text", ["memory_mb", "memory_mb=lots", "ram=4"])
def test_form_shows_what_is_wrong_with_a_limit_beside_it(text):
    form = TaskForm({**FIELDS, "limits": text}, agents=[])
    assert not form.is_valid()
    assert form.errors["limits"]
