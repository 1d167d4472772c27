"""Fixed statements read the same as the ORM does."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tasks.hot_reads import LOCKED_COLUMNS, SPEC_COLUMNS, lock_rows
from tasks.models import Task

pytestmark = pytest.mark.django_db


def columns_of(task, columns):
    return {name: getattr(task, name) for name in columns}


@pytest.mark.parametrize("columns", [LOCKED_COLUMNS, SPEC_COLUMNS, SPEC_COLUMNS[::-1]])
def test_locked_rows_hold_what_the_orm_reads(submit, columns):
    task = submit(env={"A": "ü"}, timeout=5, merge_output=True)
    Task.objects.filter(pk=task.pk).update(
        offered_at=timezone.now(), gpu_ids=["GPU-1"], unkillable=True
    )
    (locked,) = lock_rows([task.pk], columns)
    assert columns_of(locked, columns) == columns_of(Task.objects.get(pk=task.pk), columns)


def test_columns_that_were_not_read_are_read_when_asked_for(submit):
    task = submit(script_content="echo 7")
    (locked,) = lock_rows([task.pk], LOCKED_COLUMNS)
    assert "script_content" in locked.get_deferred_fields()
    assert locked.script_content == "echo 7"


def test_rows_come_once_each_in_the_order_of_their_ids(submit):
    tasks = [submit() for _ in range(3)]
    ids = [task.pk for task in tasks]
    found = lock_rows([*reversed(ids), *ids, 999_999], LOCKED_COLUMNS)
    assert [task.pk for task in found] == ids
