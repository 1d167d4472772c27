"""How long files stay: until their time is over and no task needs them any more."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from tasks.choices import CANCELED
from tasks.files.place import store
from tasks.models import FileTransfer, StoredFile
from tasks.services.moves import move
from tasks.services.stored_files import UNFINISHED_SECONDS, create_file, remove_expired
from tests.tasks.files.conftest import sha

pytestmark = pytest.mark.django_db(transaction=True)


def expire(file: StoredFile) -> None:
    StoredFile.objects.filter(pk=file.pk).update(expires_time=timezone.now() - timedelta(seconds=1))


def test_file_is_kept_for_its_days_and_then_removed(new_file, settings):
    settings.FILE_KEEP_DAYS = 3
    file = new_file()
    left = file.expires_time - timezone.now()
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)
    assert remove_expired() == 0
    expire(file)
    assert remove_expired() == 1
    assert (StoredFile.objects.exists(), store().path(file.pk).exists()) == (False, False)


def test_file_that_a_task_needs_stays_until_the_task_has_ended(new_file, submit):
    file = new_file()
    task = submit(kind="file_upload", file={"id": file.pk, "path": "/srv/x"}, name="")
    expire(file)
    assert remove_expired() == 0
    assert move(task, to=CANCELED, kind="test")
    assert remove_expired() == 1
    assert FileTransfer.objects.get().stored_file is None


def test_use_of_a_file_keeps_it_longer(new_file, submit):
    file = new_file()
    expire(file)
    submit(kind="file_upload", file={"id": file.pk, "path": "/srv/x"}, name="")
    file.refresh_from_db()
    assert file.expires_time > timezone.now() + timedelta(days=6)


def test_upload_that_nobody_goes_on_with_is_given_up(principal):
    file = create_file(principal=principal, fields={"name": "a", "size_bytes": 9})
    store().append(file.pk, 0, b"abc", sha(b"abc"))
    left = file.expires_time - timezone.now()
    assert left <= timedelta(seconds=UNFINISHED_SECONDS)
    expire(file)
    assert remove_expired() == 1
    assert store().received(file.pk) == 0


def test_content_without_a_row_is_removed_once_it_is_old(new_file):
    kept = new_file()
    strays = [f"{number:024x}" for number in (1, 2)]
    for stray in strays:
        store().append(stray, 0, b"x", sha(b"x"))
    old = time.time() - UNFINISHED_SECONDS - 60
    for path in (store().path(strays[0]).with_name(f"{strays[0]}.part"), store().path(kept.pk)):
        os.utime(path, (old, old))
    assert remove_expired() == 1
    assert [store().received(stray) for stray in strays] == [0, 1]
    assert store().read(kept.pk, 0, 9) == b"hello"
