"""Files on the server: made, filled chunk by chunk, deleted by people, and in the end by time.

Promises: a file counts as complete only after its whole content was checked and lies
durably under its id; one that a task still needs is never deleted. Content is written
outside of transactions, the row after it: a crash between leaves bytes without a row, which
housekeeping removes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from dialer_platform.storage import write_transaction
from tasks.files.orders import NOT_IN_LINES
from tasks.files.place import ensure_room_for, store
from tasks.files.store import Gap, WrongDigest
from tasks.models import StoredFile
from tasks.services.file_share import ensure_share

MAX_NAME_CHARACTERS = 255
UNFINISHED_SECONDS = 24 * 3600
"""An upload that nobody goes on with is given up after this long."""
SWEPT_AT_ONCE = 1_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_NOT_IN_NAMES = re.compile(rf"[{NOT_IN_LINES}/\\]")


class OffsetGap(Conflict):
    """Bytes are missing before the chunk; `next` is where the file goes on."""

    code = "offset_gap"

    def __init__(self, expected: int) -> None:
        """Say where to go on."""
        sentence = _("The file goes on at offset %(expected)d.") % {"expected": expected}
        super().__init__(sentence, fields={"offset": [str(expected)]})
        self.next = expected


class DigestMismatch(Invalid):
    """The bytes that arrived are not those that were sent."""

    code = "digest_mismatch"


class FileInUse(Conflict):
    """A task that has not ended needs the file."""

    code = "file_in_use"


def create_file(*, principal: Principal, fields: Mapping[str, Any]) -> StoredFile:
    """Make an empty file to be filled; raises Invalid, TooLarge or DiskFull."""
    cleaned = _clean(fields)
    ensure_room_for(cleaned["size_bytes"])
    with write_transaction():
        ensure_share(principal.tenant_id, files=1, size_bytes=cleaned["size_bytes"])
        file = StoredFile.objects.create(
            tenant_id=principal.tenant_id,
            created_by=principal.user,
            expires_time=timezone.now() + timedelta(seconds=UNFINISHED_SECONDS),
            **cleaned,
        )
        audit.record(principal, "file.create", file, _facts(file))
    if file.size_bytes == 0:
        complete_file(file, 0, file.sha256, by=principal)
    return file


def put_chunk(file: StoredFile, *, offset: int, data: bytes, sha256: str, by: Principal) -> int:
    """Store a chunk of a person's file and return what comes next; the last one completes it.

    Raises OffsetGap, DigestMismatch, TooLarge, DiskFull.
    """
    size_bytes = file.size_bytes or 0
    if offset + len(data) > size_bytes:
        sentence = _("The file was announced with %(size)d bytes.") % {"size": size_bytes}
        raise TooLarge(sentence, fields={"offset": [sentence]})
    following = append(file, offset, data, sha256)
    if following == size_bytes and not file.complete:
        complete_file(file, size_bytes, file.sha256, by=by)
    return following


def append(file: StoredFile, offset: int, data: bytes, sha256: str) -> int:
    """Store a chunk and return what comes next; knows no limit of the file's size."""
    if not _SHA256.fullmatch(sha256):
        sentence = _("Must be the SHA-256 of the chunk in hex.")
        raise Invalid(_("The request is not valid."), fields={"X-Chunk-Sha256": [sentence]})
    if file.complete:
        return store().received(file.pk)
    ensure_room_for(len(data))
    try:
        return store().append(file.pk, offset, data, sha256)
    except Gap as gap:
        raise OffsetGap(gap.expected) from gap
    except WrongDigest as error:
        raise DigestMismatch(_("The chunk is not what its digest says; send it again.")) from error


def complete_file(
    file: StoredFile, size_bytes: int, sha256: str, *, by: Principal | str | None
) -> None:
    """Check the whole file and keep it from now on; raises OffsetGap or DigestMismatch.

    After DigestMismatch the file begins anew. `by` stands in the audit trail, None for what
    needs no entry there.
    """
    try:
        digest = store().finish(file.pk, size_bytes, sha256)
    except Gap as gap:
        raise OffsetGap(gap.expected) from gap
    except WrongDigest as error:
        sentence = _("The whole file is not what its digest says; send it from the beginning.")
        raise DigestMismatch(sentence) from error
    file.size_bytes, file.sha256, file.complete = size_bytes, digest, True
    file.expires_time = keep_until()
    facts = {"size_bytes": size_bytes, "sha256": digest, "expires_time": file.expires_time}
    with write_transaction():
        # Two repeats of the last chunk may both come to this: it is said once.
        open_row = StoredFile.objects.filter(pk=file.pk, complete=False)
        if open_row.update(complete=True, **facts) and by is not None:
            audit.record(by, "file.complete", file, _facts(file))


def get_file(file_id: str, *, principal: Principal) -> StoredFile:
    """Return a file of the principal's tenant; raises NotFound."""
    file = StoredFile.objects.visible_to(principal).filter(pk=file_id).first()
    if file is None:
        raise NotFound(_("There is no such file."))
    return file


def delete_file(file: StoredFile, *, by: Principal) -> None:
    """Delete a file and its content; raises FileInUse while a task needs it."""
    with write_transaction():
        if StoredFile.objects.in_use().filter(pk=file.pk).exists():
            raise FileInUse(_("A task that has not ended needs this file."))
        audit.record(by, "file.delete", file, _facts(file))
        _delete(file)


def note_download(file: StoredFile, *, by: Principal) -> None:
    """Keep in the audit trail that somebody took a file."""
    audit.record(by, "file.download", file, _facts(file))


def _facts(file: StoredFile) -> dict[str, Any]:
    """Return what the audit trail says of a file: enough to recognise its content later."""
    return {"name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256}


def keep_until() -> datetime:
    """Return until when a file that is used now is kept."""
    return timezone.now() + timedelta(days=settings.FILE_KEEP_DAYS)


def remove_expired() -> int:
    """Delete files whose time is over, and content without a row; housekeeping."""
    removed = 0
    for file in StoredFile.objects.expired(timezone.now())[:SWEPT_AT_ONCE]:
        with write_transaction():
            # A task may have named it since it was listed.
            if StoredFile.objects.expired(timezone.now()).filter(pk=file.pk).exists():
                _delete(file)
                removed += 1
    return removed + _remove_strays()


def _remove_strays() -> int:
    """Delete content whose row was never written or is gone; old enough to be sure."""
    ids = list(set(store().old_ids(time.time() - UNFINISHED_SECONDS)))[:SWEPT_AT_ONCE]
    known = set(StoredFile.objects.filter(pk__in=ids).values_list("pk", flat=True))
    strays = [file_id for file_id in ids if file_id not in known]
    for file_id in strays:
        store().remove(file_id)
    return len(strays)


def _delete(file: StoredFile) -> None:
    """Delete the row, then the content: the other way round a crash would leave a lie."""
    file_id = file.pk
    file.delete()
    transaction.on_commit(lambda: store().remove(file_id))


def _clean(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, size and digest of a new file; raises Invalid or TooLarge."""
    errors: dict[str, list[str]] = {}
    name = fields.get("name")
    if wrong := _name_fault(name):
        errors["name"] = [wrong]
    size_bytes = fields.get("size_bytes")
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 0:
        errors["size_bytes"] = [_("Must be a whole number of bytes.")]
    sha256 = fields.get("sha256") or ""
    if not isinstance(sha256, str) or (sha256 and not _SHA256.fullmatch(sha256)):
        errors["sha256"] = [_("Must be a SHA-256 in hex.")]
    if errors:
        raise Invalid(_("Some fields are not valid."), fields=errors)
    check_size(size_bytes or 0)
    return {"name": name, "size_bytes": size_bytes, "sha256": str(sha256).lower()}


def _name_fault(name: Any) -> str:
    """Return what is wrong with the name of a file, "" when it is right."""
    if not isinstance(name, str) or not name.strip() or not name.strip(". "):
        return _("Must be the name of a file.")
    if len(name) > MAX_NAME_CHARACTERS or _NOT_IN_NAMES.search(name) or not _is_unicode(name):
        return _("Must be one name without slashes or control characters, at most 255.")
    return ""


def check_size(size_bytes: int, *, limit_bytes: int | None = None) -> None:
    """Raise TooLarge for a file above the server's limit, or a narrower one."""
    limit = settings.FILE_MAX_BYTES if limit_bytes is None else limit_bytes
    if size_bytes > limit:
        sentence = _("A file may have at most %(limit)d bytes here.") % {"limit": limit}
        raise TooLarge(sentence, fields={"size_bytes": [sentence]})


def _is_unicode(text: str) -> bool:
    """Tell whether the text can be stored: no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
