"""What is compared with what, and what is claimed of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .composers import COMPOSERS, Composer, File
from .letters import TONGUES, letters
from .memory import peak_octets
from .rounds import Effort, Samples, Variant, measured, ratio, surplus
from .signing import signing_variants

__all__ = ["Claim", "Comparison", "Scale", "comparisons"]

DIFFERENT = 64  # letters that take turns


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    effort: Effort
    large_effort: Effort  # for what takes seconds
    attachment_octets: int = 1 << 20
    large_octets: int = 50 << 20


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure, and the most or the least that it should be where there is a target."""

    what: str
    figure: Callable[[Samples], float]
    unit: str
    limit: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variants to be measured side by side; ratios are to the first of them."""

    title: str
    measure: Callable[[], Samples]
    claims: tuple[Claim, ...] = ()
    unit: str = "s"


def comparisons(scale: Scale, folder: Path) -> list[Comparison]:
    """All there are; the files that are attached are written into the folder."""
    return [*_composing(scale), *_with_a_file(scale, folder), *_in_memory(scale, folder), _signing(scale)]


def _composing(scale: Scale) -> list[Comparison]:
    return [
        Comparison(
            f"Text and HTML of 4 KB, 3 recipients, {tongue}",
            partial(_timed, COMPOSERS, tongue, scale.effort),
            (_share_of_email_message(1 / 10),),
        )
        for tongue in TONGUES
    ]


def _with_a_file(scale: Scale, folder: Path) -> list[Comparison]:
    made = {name: COMPOSERS[name] for name in ("EmailMessage", "mailstrom")}
    return [
        Comparison(
            title,
            partial(_timed, made, "ASCII", effort, opened),
            (_share_of_email_message(1 / 2),),
        )
        for title, opened, _, effort in _files(scale, folder)
    ]


def _timed(
    made: Mapping[str, Composer], tongue: str, effort: Effort, opened: Callable[[], File] | None = None
) -> Samples:
    pool, file = letters(tongue, DIFFERENT), None if opened is None else opened()

    def variant(compose: Composer) -> Variant:
        return lambda number: compose(pool[number % DIFFERENT], file)

    return measured({name: variant(compose) for name, compose in made.items()}, effort)


def _in_memory(scale: Scale, folder: Path) -> list[Comparison]:
    made = {name: COMPOSERS[name] for name in ("EmailMessage", "mailstrom")}
    claim = Claim("mailstrom", lambda samples: max(samples["mailstrom"]), "× attachment", 2.5)
    return [
        Comparison(
            f"Peak memory: {title}",
            partial(_peaks, made, opened, octets),
            (claim,),
            unit="× attachment",
        )
        for title, opened, octets, _ in _files(scale, folder)
    ]


def _peaks(made: Mapping[str, Composer], opened: Callable[[], File], octets: int) -> Samples:
    return {name: [_peak(compose, opened) / octets] for name, compose in made.items()}


def _peak(compose: Composer, opened: Callable[[], File]) -> int:
    (letter,) = letters("ASCII", 1)
    compose(letter, b"what is done once, such as imports, is not what is measured")
    # opened inside: octets that a caller holds are part of what is counted
    return peak_octets(lambda: compose(letter, opened()))


def _signing(scale: Scale) -> Comparison:
    unsigned, ed25519, rsa = "mailstrom, unsigned", "mailstrom, Ed25519", "mailstrom, RSA-2048"
    alone, bare = "signing alone, mailstrom, RSA-2048", "bare signature, cryptography, RSA-2048"
    then_bare = "mailstrom, then a bare RSA-2048 signature"
    return Comparison(
        "DKIM, text and HTML of 4 KB, 3 recipients, ASCII",
        lambda: measured(signing_variants(letters("ASCII", DIFFERENT)), scale.effort),
        (
            Claim("Ed25519 adds", lambda found: surplus(found, ed25519, unsigned) * 1e6, "µs", 150),
            Claim(
                "RSA-2048, signing alone", lambda found: ratio(found, alone, bare), "× bare signature", 1.2
            ),
            Claim("RSA-2048 adds", lambda found: surplus(found, rsa, unsigned) * 1e6, "µs"),
            Claim("a bare RSA-2048 adds", lambda found: surplus(found, then_bare, unsigned) * 1e6, "µs"),
        ),
    )


def _share_of_email_message(limit: float) -> Claim:
    return Claim("mailstrom", lambda samples: ratio(samples, "mailstrom", "EmailMessage"), "×", limit)


def _files(scale: Scale, folder: Path) -> list[tuple[str, Callable[[], File], int, Effort]]:
    """Each way to attach a file: its title, how it is opened, its size, the effort that it deserves."""
    ordinary, octets, large_octets = scale.effort, scale.attachment_octets, scale.large_octets
    small = partial(_file, folder / "small.bin", octets)
    large = partial(_file, folder / "large.bin", large_octets)
    return [
        (f"{_size(octets)} attachment, bytes", lambda: small().read_bytes(), octets, ordinary),
        (f"{_size(octets)} attachment, from a path", small, octets, ordinary),
        (f"{_size(large_octets)} attachment, from a path", large, large_octets, scale.large_effort),
    ]


def _size(octets: int) -> str:
    return f"{octets >> 20} MB" if octets >= 1 << 20 else f"{octets >> 10} KB"


def _file(path: Path, octets: int) -> Path:
    if not path.exists():
        path.write_bytes(os.urandom(octets))
    return path
