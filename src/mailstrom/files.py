"""Files that go with an email: looked at when they are named, read when the message is made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import MessageError

__all__ = ["FileContent"]

FIELD = "attachments.content"


@dataclass(frozen=True, slots=True)
class FileContent:
    """The octets of a regular file, which are read anew each time they are asked for.

    The path is made absolute. That the file can be read is found out when the value is made;
    `MessageError` otherwise, and also where it cannot be read later. `size` is what it was then.
    """

    path: str
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, bytes, os.PathLike)):
            raise MessageError(FIELD, given=self.path, expected="a path")
        path = os.fsdecode(self.path)
        if "\0" in path:  # not left to the functions of paths, some of which end it there
            raise MessageError(FIELD, given=path, expected="a path without NUL")
        path = _absolute(path)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "size", _size(path))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    def blocks(self, octets: int) -> Iterator[bytes]:
        """The content in blocks of so many octets, the last one perhaps shorter."""
        try:
            with open(self.path, "rb") as file:
                while block := file.read(octets):
                    yield block
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def octets(self) -> bytes:
        """The whole content."""
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError as error:  # the working directory is gone
        raise _unreadable(path, error) from error


def _size(path: str) -> int:
    try:
        found = os.stat(path)  # before it is opened: opening a pipe would wait for its writer
        if not stat.S_ISREG(found.st_mode):
            raise MessageError(FIELD, given=path, expected="a regular file (or a binary file object)")
        with open(path, "rb"):
            return found.st_size
    except (OSError, UnicodeError) as error:  # UnicodeError: no file system has such a name
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError | UnicodeError) -> MessageError:
    reason = getattr(error, "strerror", None) or str(error)
    return MessageError(FIELD, given=path, expected=f"a file that can be read ({reason})")
