"""Which owners of claims are alive: each holds a kernel lock that ends with its process.

The lock (flock) is on a file of the owner's beside the database. It is shared by all that claim
under the same name; whoever can have it exclusively knows that none of them lives, and that
stays so while he holds it. The file goes with the lock. Whoever has locked one looks whether its
name still leads there: it may have been removed in between.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .border import border

__all__ = ["WorkerLocks"]

NAME_LENGTH = 32  # hexadecimal digits of the owner's hash


class WorkerLocks:
    """The locks of this process's owners, and a look at those of others. Any thread."""

    def __init__(self, database: str) -> None:
        self._prefix = f"{database}-worker-"
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # file descriptors, which no program that is executed inherits

    def hold(self, owner: str) -> None:
        """The owner counts as alive from now on, until `close` or the end of the process."""
        if owner in self._held:
            return
        with self._lock, border("lock the file that tells a worker's life"):
            if not self._held:
                self._clear()
            if owner not in self._held:
                self._held[owner] = _shared(self._path(owner))

    @contextmanager
    def dead(self, owner: str) -> Iterator[bool]:
        """Whether the owner is dead; then it stays so until the end of the block."""
        with border("look whether a worker lives"):
            path = self._path(owner)
            descriptor = _exclusive(path)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                _remove(path, descriptor)

    def close(self) -> None:
        """The owners of this process count as dead from now on."""
        with self._lock:
            held, self._held = self._held, {}
        for owner, descriptor in held.items():
            if _try_lock(descriptor):  # nobody else claims under this name
                _remove(self._path(owner), descriptor)
            else:
                os.close(descriptor)

    def leave_to_parent(self) -> None:
        """In a forked child: our copies go, or the parent's owners would outlive it."""
        held, self._held = self._held, {}
        for descriptor in held.values():
            os.close(descriptor)

    def _clear(self) -> None:
        """Removes the files of the dead."""
        directory, prefix = os.path.split(self._prefix)
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if name.startswith(prefix) and (descriptor := _exclusive(path)) is not None:
                _remove(path, descriptor)

    def _path(self, owner: str) -> str:
        digest = hashlib.sha256(owner.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self._prefix}{digest[:NAME_LENGTH]}"


def _shared(path: str) -> int:
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for who buries one of that name: not long
            if _leads_to(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _exclusive(path: str) -> int | None:
    """The file's descriptor, locked; None where somebody else has a lock."""
    descriptor = _opened(path)
    if _try_lock(descriptor) and _leads_to(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leads_to(path: str, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _remove(path: str, descriptor: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.close(descriptor)
