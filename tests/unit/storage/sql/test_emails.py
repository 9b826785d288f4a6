"""Which emails are kept for the claims that come next."""

from __future__ import annotations

from mailstrom.abc import PreparedEmail
from mailstrom.storage.sql.emails import ADDRESS_OCTETS, KEPT, OCTETS_KEPT, Loaded, RecentEmails
from mailstrom.testing.storage_kit import NOW


def loaded(octets: int = 0, recipients: int = 0) -> Loaded:
    email = PreparedEmail(
        message_id="one@sender.example",
        reverse_path="",
        recipients=("you@dest.example",) * recipients,
        content=b"x" * octets,
    )
    return Loaded(email, NOW, None)


def kept(emails: RecentEmails, seqs: range) -> list[int]:
    return [seq for seq in seqs if emails.get(seq) is not None]


def test_the_last_few_are_kept() -> None:
    emails = RecentEmails()
    for seq in range(KEPT + 2):
        emails.keep(seq, loaded())

    assert kept(emails, range(KEPT + 2)) == list(range(2, KEPT + 2))


def test_one_that_is_asked_for_again_is_not_kept_twice() -> None:
    emails = RecentEmails()
    for seq in (1, 2, 1, 1, 1, 1):
        emails.keep(seq, loaded())

    assert kept(emails, range(3)) == [1, 2]


def test_the_octets_of_all_are_bounded_but_for_the_latest() -> None:
    emails = RecentEmails()
    emails.keep(1, loaded(octets=OCTETS_KEPT // 2 + 1))
    emails.keep(2, loaded(recipients=OCTETS_KEPT // ADDRESS_OCTETS // 2 + 1))
    found = [kept(emails, range(3))]
    emails.keep(3, loaded(octets=OCTETS_KEPT + 1))
    found.append(kept(emails, range(4)))

    assert found == [[2], [3]]
