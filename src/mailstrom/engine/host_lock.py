"""One engine per host and queue: a kernel lock that ends with its process, however that ends.

The lock (flock) is on a file in a private directory of the user's. Who has it, delivers; the
others look again now and then. It saves work and is no guard of the queue: on a storage for many
processes any number of engines is safe, so where no lock can be had one simply delivers. So does one
that finds the file gone, because somebody clears the directory of what has grown old in it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

NAME_LENGTH = 32  # hexadecimal digits of the identity's hash


class HostLock:
    """The right to be the one engine of this user, on this host, for one queue. One thread at a time.

    `before_fork` and `after_fork` are to be called around every fork, and `after_fork_in_child`.
    """

    def __init__(self, identity: str) -> None:
        digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
        self._name = f"{digest[:NAME_LENGTH]}.lock"
        self._file: int | None = None
        self._no_fork = threading.RLock()  # while a file is open that `_file` does not tell of

    def try_acquire(self) -> bool:
        """Whether it is ours; returns at once. `OSError` where there is no safe place for the file."""
        if sys.platform == "win32":
            return True
        with self._no_fork:
            file = _locked(_private_directory() / self._name)
            if file is not None:
                self._file = file
        return file is not None

    def release(self) -> None:
        """Lets another process have it; without effect where it is not ours."""
        if self._file is None or sys.platform == "win32":
            return
        import fcntl

        with self._no_fork:
            file, self._file = self._file, None
            fcntl.flock(file, fcntl.LOCK_UN)  # at once, though a child of ours may have the file open, too
            os.close(file)

    def leave_to_parent(self) -> None:
        """In a forked child: our copy of the parent's lock goes, or it would outlive the parent."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def before_fork(self) -> None:
        """Has no child come into being with a file open that it knows nothing of: it would keep the lock."""
        self._no_fork.acquire()

    def after_fork(self) -> None:
        """In the parent: goes on."""
        self._no_fork.release()

    def after_fork_in_child(self) -> None:
        """In the child: goes on."""
        self._no_fork = threading.RLock()


def _locked(path: Path) -> int | None:
    """The file's descriptor; None where another has the lock."""
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file


def _private_directory() -> Path:
    """A directory that nobody else can enter, and that nobody else has put there."""
    path = Path(tempfile.gettempdir()) / f"mailstrom-{os.getuid()}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()  # not what a link points to
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or found.st_mode & 0o077:
        raise PermissionError(f"{path} is not a directory that you alone may enter (mode 0700)")
    return path
