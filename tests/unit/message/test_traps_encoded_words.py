"""What CPython's `email` package does to texts in a header, and our writer does not: P37 to P41.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: texts arrive as others, and encoded-words break the rules of RFC 2047.
"""

from __future__ import annotations

import re
from random import Random

import pytest

from tests.unit.message.trap_doors import Door, content_of, legacy, modern, octets, our_email, sent
from tests.unit.message.wire_reader import Wire

OBJECTS = (our_email, modern, legacy)
PROSE = {
    "German": "Ihre Bestellung ist unterwegs: Für die Übergabe an der Haustür genügt ein gültiger Ausweis; "
    "größere Stücke trägt der Bote bis in den zweiten Stock, für das Öffnen der Kisten hat er leider keine "
    "Zeit. Rückfragen beantworten wir werktags zwischen acht und achtzehn Uhr, am schnellsten per E-Mail.",
    "French": "Votre abonnement arrive à échéance : renouvelez-le d’ici à la fin du mois et gardez l’accès "
    "à toutes les éditions régionales, aux archives numérisées et à la lettre du matin. Après cette date, "
    "l’offre n’est plus garantie ; nos conseillers répondent même le samedi, de neuf à dix-sept heures.",
    "Russian": "Уважаемые читатели, завтра с шести до девяти часов утра сайт будет недоступен: мы переносим "
    "архив на новый сервер и заодно меняем оформление. Все заказы, сделанные сегодня вечером, будут "
    "отправлены как обычно, а письма придут немного позже. Просим прощения за неудобства!",
    "Greek": "Η παραγγελία σας είναι έτοιμη και σας περιμένει στο κατάστημα μέχρι την Παρασκευή το απόγευμα. "
    "Φέρτε μαζί σας την ταυτότητα και τον αριθμό που θα βρείτε πιο κάτω· αν δεν μπορείτε να έρθετε, "
    "γράψτε μας και θα τη στείλουμε στο σπίτι σας χωρίς άλλη χρέωση, συνήθως μέσα σε τρεις ημέρες.",
    "Japanese": "ご注文 の 品 は 本日 の 午後 に 発送 されました。 "
    "お届け は 明日 の 予定 です が、 天候 に より 遅れる 場合 が あります。 "
    "領収書 は 別の メール で お送りします ので、 このまま しばらく お待ち ください。 "
    "ご不明 な 点 が ございましたら、 いつでも お気軽 に お問い合わせ ください。 "
    "カタログ ＡＢＣ も 同封 しました。",
}


def prose_subjects() -> list[str]:
    """427 ordinary subjects: runs of 3 to 14 words out of the prose, Japanese without its blanks."""
    chance = Random(40)
    found = []
    for place in range(427):
        language = list(PROSE)[place % len(PROSE)]
        words = PROSE[language].split()
        start, length = chance.randrange(len(words) - 14), chance.randint(3, 14)
        found.append(("" if language == "Japanese" else " ").join(words[start : start + length]))
    return found


def encoded_words(wire: Wire) -> list[str]:
    return re.findall(r"=\?.*?\?[bq]\?.*?\?=", "\n".join(wire.lines("Subject")), re.IGNORECASE)


# --- P37, P38: the blank between two words


GLUED = "Retour 99999999999999 - nouveautés illustrées 88 pages, une semaine d’été à la mer, "
GLUED += "Matin, Courrier de Genève et tous les titres"


@pytest.mark.parametrize("door", OBJECTS)
def test_p37_there_is_a_blank_between_two_encoded_words(door: Door) -> None:
    """P37 (gh-144156): 3.13.0 glues two of them together as ?==?, and Yahoo answers 554."""
    subjects = [GLUED, *(f"Retour {'9' * length} {GLUED[22:]}" for length in range(1, 75))]

    found = [sent(door({"Subject": subject})) for subject in subjects]

    assert [wire.text("Subject") for wire in found] == subjects
    assert not any(b"?==?" in wire.content for wire in found)


@pytest.mark.parametrize("door", OBJECTS)
def test_p38_the_blank_between_two_encoded_words_is_inside_of_one(door: Door) -> None:
    """P38 (gh-92081): it stands between them, where readers drop it."""
    lengths = [(one, two) for one in range(1, 31) for two in (1, 5, 21)]
    subjects = [" ".join("\u0444" * length for length in (one, 5, two)) for one, two in lengths]

    found = [sent(door({"Subject": subject})).text("Subject") for subject in subjects]

    assert (21, 5) in lengths
    assert found == subjects


@pytest.mark.parametrize("door", OBJECTS)
def test_p38_the_blanks_in_a_name_are_kept(door: Door) -> None:
    """P38 (gh-92081): it stands between them, where readers drop it."""
    names = [" ".join("\u0444" * length for length in (one, 5, 5)) for one in range(1, 31)]

    found = sent(door({"To": ", ".join(f"{name} <you@dest.example>" for name in names)}))

    assert found.mailboxes("To") == [(name, "you@dest.example") for name in names]


# --- P39, P40: the text that arrives


PIECES = [
    "a",
    "Z9",
    "word",
    "e\u0301",
    "\u00e9t\u00e9",
    "Gr\u00f6\u00dfe",
    "\u0444\u0443",
    "\u65e5\u672c\u8a9e",
]
PIECES += ["\u05e9\u05dc\u05d5\u05dd", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467"]
PIECES += [
    "=?",
    "?=",
    "=",
    "_",
    "?",
    "=20",
    "=?utf-8?q?x?=",
    '"',
    "\\",
    ",",
    ";",
    ":",
    "<",
    ">",
    "@",
    "(",
    ")",
    ".",
    "[",
    "]",
    "'",
    "%",
    "x" * 40,
    "\u0444" * 30,
]


def mixed_subject(chance: Random) -> str:
    gaps = chance.choices(["", " ", "  ", "\t", "   "], [4, 12, 1, 1, 1], k=40)
    pieces = chance.choices(PIECES, k=chance.randint(1, 40))
    return "".join(piece + gap for piece, gap in zip(pieces, gaps, strict=False)).strip()


@pytest.mark.parametrize(("door", "number"), [(our_email, 2000), (legacy, 500)])
def test_p39_no_mixed_subject_arrives_as_another(door: Door, number: int) -> None:
    """P39: the package changes 180 of 2,000 (3.10 to 3.12), 123 of 2,000 (3.13)."""
    chance = Random(39)
    given = [mixed_subject(chance) for _ in range(number)]
    if door is legacy:  # its text is text as it is written: what looks encoded is encoded
        given = [subject for subject in given if "=?" not in subject]

    found = [sent(door({"Subject": subject})).text("Subject") for subject in given]

    assert found == given


def test_p39_what_the_modern_class_holds_is_what_arrives() -> None:
    """P39: the package changes 180 of 2,000 (3.10 to 3.12), 123 of 2,000 (3.13) on its way out."""
    chance = Random(93)
    messages = [modern({"Subject": mixed_subject(chance)}) for _ in range(500)]

    found = [sent(message).text("Subject") for message in messages]

    assert found == [message["Subject"] for message in messages]


@pytest.mark.parametrize("edge", [" ", "\t", "  ", "\u00a0", "\u3000"])
def test_p39_blanks_at_the_ends_of_a_subject_arrive(edge: str) -> None:
    """P39: the package drops them."""
    wire = sent(our_email({"Subject": f"{edge}a{edge}b{edge}"}))

    assert wire.text("Subject") == f"{edge}a{edge}b{edge}"


@pytest.mark.parametrize("door", OBJECTS)
def test_p40_ordinary_subjects_arrive_in_words_of_at_most_75_characters(door: Door) -> None:
    """P40: 146 of 427 have a word that is longer."""
    subjects = prose_subjects()

    found = [sent(door({"Subject": subject})) for subject in subjects]

    assert len(subjects) == 427
    assert [wire.text("Subject") for wire in found] == subjects
    words = [word for wire in found for word in encoded_words(wire)]
    assert max(map(len, words)) <= 75
    assert len(words) > 427


@pytest.mark.parametrize("character", ["\u00e9", "\u0444", "\u65e5", "\U0001f600", "\U0010ffff"])
def test_p40_no_character_is_split_between_two_words(character: str) -> None:
    """P40: each word is a text by itself (RFC 2047 section 5); the reader decodes them one by one."""
    for before in range(80):
        subject = "x" * before + character * 60

        wire = sent(our_email({"Subject": subject}))

        assert wire.text("Subject") == subject


# --- P41: what looks encoded


TYPED = [
    "=?utf-8?q?x?=",
    "a =?utf-8?q?x?= b",
    "=?utf-8?b?eA==?=",
    "=?utf-8?q?x?= =?utf-8?q?y?=",
    "a=?utf-8?q?x?=b",
]
TYPED += ["=?iso-8859-1*en?q?x?=", "=?utf-8?q?x", "=?x?=", "(=?utf-8?q?x?=)"]


@pytest.mark.parametrize("text", TYPED)
def test_p41_what_looks_encoded_and_was_typed_arrives_as_it_was_typed(text: str) -> None:
    """P41: =?utf-8?q?x?= is sent as x."""
    wire = sent(our_email({"Subject": text, "To": (text, "you@dest.example"), "X-Note": text}))

    assert wire.text("Subject") == text
    assert wire.mailboxes("To") == [(text, "you@dest.example")]
    assert wire.text("X-Note") == text
    assert not re.search(r"=\?utf-8\?q\?x|=\?iso|=\?utf-8\?b\?eA==", wire.content.decode())


@pytest.mark.parametrize("text", TYPED)
def test_p41_what_is_encoded_in_finished_octets_stays_as_it_is(text: str) -> None:
    """P41: the package decodes it, and writes it anew."""
    assert content_of(octets({"Subject": text})) == octets({"Subject": text})


@pytest.mark.parametrize("door", [modern, legacy])
def test_p41_what_is_encoded_in_a_message_of_the_package_is_the_text_it_stands_for(door: Door) -> None:
    """P41: there a field is held as it is written, so that x was meant."""
    assert sent(door({"Subject": "=?utf-8?q?x?="})).text("Subject") == "x"
