"""The letters that every composer writes: plain values, no two alike, so that no cache helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["NOW", "TONGUES", "Letter", "letters"]

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OCTETS = 4096  # of text and HTML together


@dataclass(frozen=True, slots=True)
class Letter:
    """One email as a program has it before it is composed: strings."""

    from_: str
    to: str
    cc: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Tongue:
    """What a letter in this language is made of."""

    names: tuple[str, str, str, str]
    subject: str
    sentence: str


TONGUES = {
    "ASCII": Tongue(
        ("Ann Baker", "Bob Carter", "Carol Dean", "Dan Evans"),
        "Your order {} is on its way",
        "The chairs {} left our workshop this morning, and they will be with you on Thursday. ",
    ),
    "German": Tongue(
        ("Jürgen Müßig", "Käthe Öztürk", "Björn Größl", "Zoë Sträter"),
        "Ihre Bestellung {} für die große Halle ist unterwegs",
        "Die Stühle {} haben unsere Werkstatt heute früh verlassen und dürften übermorgen bei Ihnen sein. ",
    ),
    "Japanese": Tongue(
        ("佐藤 花子", "鈴木 一郎", "高橋 健", "田中 美咲"),
        "ご注文{}の商品を発送しました",
        "椅子{}脚を今朝工房から発送いたしました。木曜日にはお手元に届く予定です。",
    ),
}


def letters(tongue: str, count: int, *, octets: int = OCTETS) -> Sequence[Letter]:
    """So many letters whose text and HTML have about so many octets together, in UTF-8."""
    return [_letter(TONGUES[tongue], number, octets) for number in range(count)]


def _letter(tongue: Tongue, number: int, octets: int) -> Letter:
    author, *readers = [
        f"{name} <{local}{number}@{domain}>"
        for name, local, domain in zip(
            tongue.names,
            ("service", "bob", "carol", "dan"),
            ("shop.example.org", "one.example.com", "two.example.net", "three.example"),
            strict=True,
        )
    ]
    text = _filled(tongue.sentence, number, octets * 17 // 40)
    html = "".join(
        f"<p>{line}</p>\n" for line in _filled(tongue.sentence, number, octets * 21 // 40).splitlines()
    )
    return Letter(
        from_=author,
        to=", ".join(readers[:2]),
        cc=readers[2],
        subject=tongue.subject.format(4700 + number),
        text=text,
        html=f"<!DOCTYPE html>\n<html>\n<body>\n{html}</body>\n</html>\n",
    )


def _filled(sentence: str, number: int, octets: int) -> str:
    """Lines of one sentence each, which together have about so many octets."""
    line = sentence.format(number).rstrip() + "\n"
    return line * max(1, round(octets / len(line.encode())))
