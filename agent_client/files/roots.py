"""Opens what lies below the directories that the host's policy allows, and nothing else.

A path is walked from `/`, one component at a time by directory handles, and no component may
be a link: whoever swaps one meanwhile makes the walk fail, never lead out. A root that the
host's owner has named by a link is walked where that led when the policy was read
(`files.places`). The agent's own directories and files are closed, also where a root contains
them: they hold its credential, its program and what the host allows.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from agent_client.errors import Rejected

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WALK = _DIRECTORY | os.O_PATH
"""Walking needs no right to list."""
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Opens nothing: not a link's target, and no FIFO or device."""
MAX_PATH_BYTES = 4096
MAX_DEPTH = 128
DIRECTORY_MODE = 0o755


class Roots:
    """The directories below which files are moved."""

    def __init__(self, roots: Mapping[str, str], *, hidden: Sequence[str] = ()) -> None:
        """Take absolute directories, each with its place; what does not exist allows nothing.

        hidden are directories and files of the agent, absolute; they need not exist.
        """
        self._roots = dict(roots)
        self._hidden = frozenset(_identities(hidden))
        self._hidden_paths = frozenset(_spellings(hidden))

    def split(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the place of the root that contains a path, and the components below it.

        Raises Rejected: path_unusable for a name no host has, policy_denied outside.
        """
        parts = _parts(path)
        # The longest root first: one may lie in another and be reached by a link.
        for root, place in sorted(self._roots.items(), key=lambda one: -len(one[0])):
            for above in (_names(root), _names(place)):
                if parts[: len(above)] == above:
                    return place, parts[len(above) :]
        listed = ", ".join(self._roots) or "none"
        raise Rejected(
            f"The host's policy does not allow it (directories: {path} is below none of {listed}).",
            code="policy_denied",
        )

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """Yield a handle of a directory that can be listed; raises Rejected or OSError."""
        root, parts = self.split(path)
        descriptor = self._walk(root, parts, path)
        try:
            opened = os.open(".", _DIRECTORY | os.O_RDONLY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        try:
            yield opened
        finally:
            os.close(opened)

    @contextmanager
    def parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """Yield a handle of the directory a path is in, and the path's last name.

        create makes the directories that are missing. Raises Rejected or OSError.
        """
        root, parts = self.split(path)
        if not parts:
            raise unusable(path, "is a directory of the policy itself; name something in it")
        descriptor = self._walk(root, parts[:-1], path, create=create)
        try:
            opened = os.open(".", _DIRECTORY | os.O_RDONLY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        try:
            self._check_name(opened, parts[-1], path)
            yield opened, parts[-1]
        finally:
            os.close(opened)

    def is_hidden(self, found: os.stat_result) -> bool:
        """Return whether this is one of the agent's own directories or files."""
        return (found.st_dev, found.st_ino) in self._hidden

    def check_replaceable(self, path: str) -> None:
        """Refuse to replace a directory that contains the agent's own; raises Rejected."""
        root, parts = self.split(path)
        place = os.path.realpath(os.path.join(root, *parts)) + "/"
        if any((one + "/").startswith(place) for one in self._hidden_paths):
            raise _belongs_to_agent(path)

    def _walk(self, root: str, parts: Sequence[str], path: str, *, create: bool = False) -> int:
        """Return a handle of the directory at the end of the components."""
        descriptor = os.open("/", _WALK)
        above = _names(root)
        try:
            for number, part in enumerate((*above, *parts)):
                is_below = number >= len(above)
                following = _step(descriptor, part, path, create=create and is_below)
                os.close(descriptor)
                descriptor = following
                self._check_hidden(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_hidden(self, descriptor: int, path: str) -> None:
        """Refuse the agent's own directories, by what they are and not by their names."""
        if self.is_hidden(os.fstat(descriptor)):
            raise _belongs_to_agent(path)

    def _check_name(self, directory: int, name: str, path: str) -> None:
        """Refuse the agent's own files, by what they are, and by where one would be."""
        place = os.readlink(f"/proc/self/fd/{directory}")
        if os.path.join(place, name) in self._hidden_paths:
            raise _belongs_to_agent(path)
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return  # Whoever opens it says what is the matter.
        if self.is_hidden(found):
            raise _belongs_to_agent(path)


def open_plain(directory: int, name: str, path: str, *, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a plain file in a directory; raises Rejected or OSError.

    It is looked at before it is opened: to open a FIFO wakes who waits at its other end, to
    open a device may do anything. What was looked at is what is opened, by its descriptor.
    """
    try:
        looked_at = os.open(name, _LOOK, dir_fd=directory)
        try:
            _check_plain(os.fstat(looked_at), path)
            return os.open(f"/proc/self/fd/{looked_at}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(looked_at)
    except OSError as error:
        raise explained(error, path) from error


def open_directory(directory: int, name: str, path: str) -> int:
    """Return a descriptor of a directory in another one, to be listed; raises as open_plain."""
    try:
        return os.open(name, _DIRECTORY | os.O_RDONLY, dir_fd=directory)
    except OSError as error:
        raise explained(error, path) from error


def _check_plain(found: os.stat_result, path: str) -> None:
    """Refuse what is no plain file; raises Rejected or OSError."""
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(found.st_mode):
        raise unusable(path, "is no plain file")


def _belongs_to_agent(path: str) -> Rejected:
    return Rejected(
        f"The host's policy does not allow it ({path} belongs to the agent).", code="policy_denied"
    )


def unusable(path: str, problem: str) -> Rejected:
    """Return the refusal of a path that says what is the matter with it."""
    return Rejected(f"{path} {problem}.", code="path_unusable")


def _names(path: str) -> tuple[str, ...]:
    return tuple(one for one in path.split("/") if one not in ("", "."))


def _parts(path: str) -> tuple[str, ...]:
    """Return the components of an absolute path; raises Rejected for what is none."""
    shown = path[:200].encode("utf-8", "backslashreplace").decode()
    if path == "~" or path.startswith("~/"):
        path = os.path.expanduser("~") + path[1:]
    if not path.startswith("/"):
        raise unusable(shown, "is not absolute; give a full path on the host")
    parts = _names(path)
    if "\0" in path or any(one == ".." for one in parts):
        raise unusable(shown, "has a part that is not allowed (.. or NUL)")
    try:
        size_bytes = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise unusable(shown, "cannot be a file name") from None
    if size_bytes > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        raise unusable(shown, "is too long")
    return parts


def _step(directory: int, name: str, path: str, *, create: bool) -> int:
    """Return a handle of a directory in another one."""
    try:
        return os.open(name, _WALK, dir_fd=directory)
    except FileNotFoundError as error:
        if not create:
            raise explained(error, path) from error
    except OSError as error:
        raise explained(error, path) from error
    try:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=directory)
    except FileExistsError:
        pass  # Somebody was faster; the open below says what it is.
    except OSError as error:
        raise explained(error, path) from error
    try:
        return os.open(name, _WALK, dir_fd=directory)
    except OSError as error:
        raise explained(error, path) from error


def explained(error: OSError, path: str) -> Exception:
    """Return the error as a person can use it; what is no matter of the path stays itself."""
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return unusable(path, "leads over a link, and links are not followed")
    if error.errno == errno.ENOTDIR:
        # O_NOFOLLOW | O_DIRECTORY on a link says this too.
        return unusable(path, "leads over something that is no directory, or over a link")
    texts = {
        errno.ENOENT: "does not exist",
        errno.EACCES: "may not be opened by the agent's user",
        errno.EPERM: "may not be opened by the agent's user",
        errno.ENAMETOOLONG: "has a name that is too long",
        errno.EISDIR: "is a directory",
        errno.ENXIO: "is no plain file",
    }
    return unusable(path, texts[error.errno]) if error.errno in texts else error


def _spellings(paths: Sequence[str]) -> Iterator[str]:
    """Yield where each path is, and where it leads when it is a link itself."""
    for path in paths:
        above, name = os.path.split(path)
        yield os.path.join(os.path.realpath(above), name)
        yield os.path.realpath(path)


def _identities(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield device and inode of what exists."""
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:
            continue
        yield found.st_dev, found.st_ino
