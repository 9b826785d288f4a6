"""The file of a SQLite queue: private from its first octet on, and nobody else's.

SQLite gives the files beside it ("-wal", "-shm") the mode of the database, whatever the umask is.
So it is enough that the database has mode 0600 before anything is in it, and that nobody else
could put one of the three there first.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, StorageError

__all__ = ["PrivateFile", "private_file"]

COMPANIONS = ("-wal", "-shm", "-journal")

_log = logging.getLogger("mailstrom.storage")


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A database's file, as it was found or made."""

    path: str  # absolute, without symbolic links
    device: int
    inode: int

    @property
    def uri(self) -> str:
        """For `sqlite3.connect(uri=True)`: opens it, and never makes it."""
        return f"{Path(self.path).as_uri()}?mode=rw"

    @property
    def wal(self) -> str:
        """Where SQLite writes first."""
        return f"{self.path}-wal"

    def check_in_place(self) -> None:
        """Raises `StorageError` where the path leads elsewhere now: what is written would be lost."""
        try:
            found = os.stat(self.path)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (self.device, self.inode):
            raise StorageError(
                f"{self.path} was removed or replaced while it was in use: nothing more is written to what "
                "was there; put the file where it belongs with mailstrom stopped, then start again"
            )

    def is_open_here(self) -> bool:
        """Whether this process has it open, as far as the system tells."""
        try:
            descriptors = os.listdir("/dev/fd")
        except OSError:
            return False
        return any(self._is_behind(int(each)) for each in descriptors)

    def sync_directory(self) -> None:
        """The names of the files beside it outlive a loss of power, too."""
        if not hasattr(os, "O_DIRECTORY"):
            return
        directory = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _is_behind(self, descriptor: int) -> bool:
        with suppress(OSError):  # that of the listing itself is closed by now
            found = os.fstat(descriptor)
            return (found.st_dev, found.st_ino) == (self.device, self.inode)
        return False


def private_file(path: str | os.PathLike[str]) -> PrivateFile:
    """The database's file; made, empty and with mode 0600, where there is none.

    Raises `ConfigError` where somebody else could have put it there, or could exchange it.
    """
    place = _real(path)
    _check_directory(os.path.dirname(place))
    try:
        if not os.path.lexists(place):
            _create(place)
        found = _checked(place)
        for suffix in COMPANIONS:
            _checked_if_there(place + suffix)
    except OSError as error:
        raise ConfigError(f"{place} cannot be used as a queue: {error.strerror or error}") from error
    return PrivateFile(place, found.st_dev, found.st_ino)


def _real(path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"SqliteStorage.path: expected a str or Path, got {type(path).__name__}")
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise ConfigError(f"SqliteStorage.path: expected the path of a file, got {name!r}")
    if name == ":memory:":
        raise ConfigError(
            "SqliteStorage(':memory:'): expected a file; for a queue in memory use MemoryStorage()"
        )
    directory, base = os.path.split(os.path.abspath(name))
    return os.path.join(os.path.realpath(directory), base)


def _check_directory(path: str) -> None:
    if not os.path.isdir(path):
        raise ConfigError(f"{path} is not a directory: make it (mode 0700) before the queue")
    mode = os.stat(path).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"everybody may write to {path} (mode {stat.S_IMODE(mode):04o}) and so exchange the queue in it: "
            "take another directory, or make one in it with mode 0700"
        )


def _create(path: str) -> None:
    """Makes it under another name first: to open and close it by its own would end SQLite's locks.

    They are POSIX locks, and those a process loses with the first descriptor it closes; a
    connection of another thread's may have the file open as soon as it has its name.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{os.path.basename(path)}-", dir=os.path.dirname(path))
    os.close(descriptor)
    try:
        os.chmod(name, 0o600)
        with suppress(FileExistsError):  # another was quicker: it is checked as any that was there
            os.link(name, path)
    finally:
        os.unlink(name)


def _checked(path: str) -> os.stat_result:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(f"{path} is a symbolic link: give the path of the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a file: give the path of one, or of none yet")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} belongs to user {found.st_uid}, this process runs as {os.geteuid()}: "
            "run it as the owner of the queue, or give the file to its user (chown)"
        )
    if os.name == "posix" and found.st_mode & 0o077:
        _narrow(path, found)
    return found


def _narrow(path: str, found: os.stat_result) -> None:
    """Closes an empty file to others; one with content is its owner's to decide on."""
    if not found.st_size:
        os.chmod(path, 0o600)
        return
    mode = stat.S_IMODE(found.st_mode)
    _log.warning("others than its owner have access to %s (mode %04o), and so to mail: chmod 600", path, mode)


def _checked_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        _checked(path)
