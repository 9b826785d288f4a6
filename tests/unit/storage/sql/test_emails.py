"""Which emails are kept for the claims that come next."""

from __future__ import annotations

from mailstrom.abc import PreparedEmail, StoredEmail
from mailstrom.storage.sql.emails import ADDRESS_OCTETS, KEPT, OCTETS_KEPT, Loaded, RecentEmails
from mailstrom.testing.storage_kit import NOW


def loaded(name: int, octets: int = 0, recipients: int = 0) -> Loaded:
    email = PreparedEmail(
        message_id=str(name),
        reverse_path="",
        recipients=("you@dest.example",) * recipients,
        content=b"x" * octets,
    )
    return Loaded(email, "", NOW, None)


def kept(emails: RecentEmails, names: range) -> list[int]:
    return [name for name in names if emails.get(str(name), "") is not None]


def test_the_last_few_are_kept() -> None:
    emails = RecentEmails()
    for name in range(KEPT + 2):
        emails.keep(loaded(name))

    assert kept(emails, range(KEPT + 2)) == list(range(2, KEPT + 2))


def test_one_that_is_asked_for_again_is_not_kept_twice() -> None:
    emails = RecentEmails()
    for name in (1, 2, 1, 1, 1, 1):
        emails.keep(loaded(name))

    assert kept(emails, range(3)) == [1, 2]


def test_the_same_id_with_other_content_is_another_email() -> None:
    emails = RecentEmails()
    emails.keep(loaded(1))

    assert emails.get("1", "of other content") is None


def test_the_octets_of_all_are_bounded_but_for_the_latest() -> None:
    emails = RecentEmails()
    emails.keep(loaded(1, octets=OCTETS_KEPT // 2 + 1))
    emails.keep(loaded(2, recipients=OCTETS_KEPT // ADDRESS_OCTETS // 2 + 1))
    found = [kept(emails, range(3))]
    emails.keep(loaded(3, octets=OCTETS_KEPT + 1))
    found.append(kept(emails, range(4)))

    assert found == [[2], [3]]


def test_a_content_that_was_left_in_the_storage_takes_no_room() -> None:
    email = StoredEmail(message_id="1", reverse_path="", recipients=(), octets=OCTETS_KEPT)

    assert Loaded(email, "", NOW, None).octets == 0


def test_what_was_left_in_the_storage_suits_only_who_leaves_it_there_as_well() -> None:
    email = StoredEmail(message_id="1", reverse_path="", recipients=(), octets=100)
    left, whole = Loaded(email, "", NOW, None), loaded(1, octets=100)

    assert [left.suits(limit) for limit in (99, 100, None)] == [True, False, False]
    assert [whole.suits(limit) for limit in (99, 100, None)] == [True, True, True]
