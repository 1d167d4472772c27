"""Lets a finished directory appear under its name, also in the place of another one.

Promises that one of both is there after every crash: the two change places in one step
where the file system can do that. Where it cannot, the former one waits under a name that
no clean-up takes, and the next archive for this target puts it back if nothing is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil

from agent_client.files.receiving import Target, exists, neighbour

_RENAME_EXCHANGE = 2
_CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def put_in_place(work: str, target: Target, *, overwrite: bool) -> None:
    """Give a finished directory the target's name, durably; raises Rejected or OSError.

    With overwrite, what was there before is removed.
    """
    if overwrite and _exchange(work, target):
        former = work
    else:
        former = _set_aside(target) if overwrite else ""
        try:
            _rename(work, target.name, target)
        except OSError as error:
            restore(target)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise exists(target.path) from error
            raise
    # Before the former one is removed: after a power failure one of both must be there.
    os.fsync(target.directory)
    if former:
        remove(former, target)


def restore(target: Target) -> None:
    """Put back what a replacement that was cut off has set aside, unless something is there."""
    try:
        os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):
            _rename(_former(target), target.name, target)
            os.fsync(target.directory)


def remove(name: str, target: Target) -> None:
    """Remove a directory of ours beside the target if it is still there."""
    with contextlib.suppress(OSError):
        shutil.rmtree(name, dir_fd=target.directory)


def _exchange(work: str, target: Target) -> bool:
    """Let both change names in one step; False where there is no target or no such step."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (target.directory, os.fsencode(work), target.directory, os.fsencode(target.name))
    if renameat2(*names, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.ENOENT or number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), target.path)


def _set_aside(target: Target) -> str:
    """Rename what is there and return its new name, "" when nothing is there."""
    former = _former(target)
    # Left by a replacement that was cut off after its end: what is there has replaced it.
    remove(former, target)
    try:
        _rename(target.name, former, target)
    except FileNotFoundError:
        return ""
    return former


def _former(target: Target) -> str:
    """Return the name under which the former directory waits: no part, and one per target."""
    return neighbour(
        target.name, hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16], "former"
    )


def _rename(old: str, new: str, target: Target) -> None:
    os.rename(old, new, src_dir_fd=target.directory, dst_dir_fd=target.directory)
