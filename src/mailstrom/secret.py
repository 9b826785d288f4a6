"""A password or token that stays out of logs, dumps and exceptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, Self, TypeVar

from .errors import ConfigError

T = TypeVar("T")


class Secret:
    """A password or token: shown nowhere, read only by `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        kind = type(value).__name__
        self._value: object = value._value if isinstance(value, Secret) else value
        del value  # a traceback may show the locals of every frame
        if not isinstance(self._value, str):
            raise ConfigError(f"Secret: expected a text, got a value of type {kind}")

    def reveal(self) -> str:
        """The secret itself."""
        return str(self._value)

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # dataclasses.asdict copies: what it makes holds the Secret, not the text

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")


def sealing(*names: str) -> Callable[[type[T]], type[T]]:
    """For a class whose arguments `names` may be texts with a password: sealed before a frame shows them."""

    def decorate(decorated: type[T]) -> type[T]:
        init: Callable[..., None] = vars(decorated)["__init__"]

        @wraps(init)
        def sealed_init(self: T, *args: Any, **given: Any) -> None:
            for name in names:
                if isinstance(given.get(name), str):
                    given[name] = Secret(given[name])
            init(self, *args, **given)

        type.__setattr__(decorated, "__init__", sealed_init)
        return decorated

    return decorate
