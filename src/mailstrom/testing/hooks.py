"""How a test server is told to answer otherwise than it would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TypedDict


class Action(StrEnum):
    """What a server does instead of replying."""

    HANG = "hang"  # says nothing more until the client goes
    CLOSE = "close"  # FIN
    RESET = "reset"  # RST


#: A reply's text ("450 4.2.0 later"; "\\n" between the lines of a longer one), raw octets that
#: are sent as they are, or what to do instead. After a 421 the server closes.
Answer = str | bytes | Action

#: Always the same answer; or one per call, None for the usual one, and the usual one when they
#: are used up; or a function of the argument and how often this argument came.
Hook = Answer | Sequence[Answer | None] | Callable[[str, int], Answer | None]


class Stage(StrEnum):
    """Where in the dialogue an answer is given."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    RSET = "rset"
    QUIT = "quit"


class Hooks(TypedDict, total=False):
    """A function gets what stands behind each, and how often it came."""

    on_greeting: Hook  # the client's address
    on_ehlo: Hook  # the client's name; for HELO too
    on_starttls: Hook  # ""
    on_auth: Hook  # the mechanism
    on_mail: Hook  # the reverse-path without <>
    on_rcpt: Hook  # the forward-path without <>
    on_data: Hook  # ""
    on_content: Hook  # the content as Latin-1
    on_rset: Hook  # ""
    on_quit: Hook  # ""


def greylist(refusals: int = 1, reply: str = "450 4.2.0 greylisted, try again later") -> Hook:
    """For `on_rcpt`: each address is deferred that many times, then accepted."""
    return lambda _address, count: reply if count <= refusals else None


class HookTable:
    """Which answer a hook gives, with the counting that goes with it."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks: Mapping[str, object] = {**hooks}
        self._calls: Counter[Stage] = Counter()
        self._arguments: Counter[tuple[Stage, int]] = Counter()

    def answer(self, stage: Stage, argument: str) -> Answer | None:
        """What to answer at this stage; None: what the server would say by itself."""
        hook = self._hooks.get(f"on_{stage}")
        self._calls[stage] += 1
        if callable(hook):
            seen = stage, hash(argument)  # a content may be large
            self._arguments[seen] += 1
            return _checked(hook(argument, self._arguments[seen]))
        if isinstance(hook, Sequence) and not isinstance(hook, (str, bytes)):
            turn = self._calls[stage] - 1
            return _checked(hook[turn]) if turn < len(hook) else None
        return _checked(hook)


def _checked(answer: object) -> Answer | None:
    if answer is None or isinstance(answer, (str, bytes)):
        return answer
    raise TypeError(f"a hook answers with a reply, octets, an Action or None, not {answer!r}")
