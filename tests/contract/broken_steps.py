"""Storages with a bug in what they do for several at once: the contract must say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mailstrom.abc import Claim, Order, Selection, Terms
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_kit import NOW
from tests.contract.broken_storages import Remembers

Dots = Sequence[tuple[Claim, Collection[str]]]


# Claims


class GrantsOneMore(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, limit=terms.limit + 1))


class GrantsOneAtATime(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, limit=1))


class GrantsTenAtMost(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, limit=min(terms.limit, 10)))


class GrantsNothingTwice(ExclusiveStorage):
    """Takes what is not due yet where there is nothing else."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, terms) or super().claim_many(now + timedelta(hours=1), terms)


class GrantsTheSameTwice(ExclusiveStorage):
    """Looks for what is due before it has noted what it granted."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return (2 * super().claim_many(now, terms))[: terms.limit]


class OneTokenForAll(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        return [replace(claim, token=claims[-1].token) for claim in claims]


class OneEmailForAll(ExclusiveStorage):
    """Takes the email at hand for that of the next claim."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        return [replace(claim, email=claims[0].email) for claim in claims]


class HalfAnEmail(ExclusiveStorage):
    """An email knows only of those whom the claim is for."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return [_for_itself(claim) for claim in super().claim_many(now, terms)]


def _for_itself(claim: Claim) -> Claim:
    recipients = tuple(each.address for each in claim.recipients)
    return replace(claim, email=replace(claim.email, recipients=recipients))


class OneOwnTerms(ExclusiveStorage):
    """Takes some of the terms for the first claim alone."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        first = super().claim_many(now, replace(terms, limit=1))
        if not first or terms.limit == 1:
            return first
        return first + super().claim_many(now, self._others(terms))

    def _others(self, terms: Terms) -> Terms:
        return replace(terms, limit=terms.limit - 1, backoff=tuple)


class SkipsForTheFirst(OneOwnTerms):
    def _others(self, terms: Terms) -> Terms:
        return replace(terms, limit=terms.limit - 1, skip=())


class OneWaitForAll(ExclusiveStorage):
    """What dies together comes back together."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        backoff = terms.backoff()
        return super().claim_many(now, replace(terms, backoff=lambda: backoff))


class OneKeyAStep(ExclusiveStorage):
    """Whose turn it is, is served until there is no more of it."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims: list[Claim] = []
        while len(claims) < terms.limit and (first := super().claim_many(now, replace(terms, limit=1))):
            key, room = first[0].route_key, terms.limit - len(claims) - 1
            others = replace(terms, limit=room, admits=lambda each, _, key=key: each == key)
            claims += first + super().claim_many(now, others)
        return claims


class BeginsEachStepAnew(Remembers):
    """The keys take turns within a step, and each step begins at the first."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims: list[Claim] = []
        while len(claims) < terms.limit and (turn := self._turn(now, terms)):
            claims += turn
        for late in claims[terms.limit :]:
            self.give_back(late)
        return claims[: terms.limit]

    def _turn(self, now: datetime, terms: Terms) -> list[Claim]:
        one = replace(terms, limit=1)
        turn: list[Claim] = []
        for key in sorted(self.keys):
            turn += super().claim_many(now, replace(one, admits=lambda each, _, key=key: each == key))
        return turn


class LastDueFirst(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, terms)[::-1]


class AdmitsAll(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, admits=lambda *_: True))


class AdmitsEachAlone(ExclusiveStorage):
    """Does not say what it grants already."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        return super().claim_many(now, replace(terms, admits=lambda key, _: terms.admits(key, ())))


class EndsAtARefusal(ExclusiveStorage):
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        refused: list[str] = []

        def admits(key: str, before: Sequence[str]) -> bool:
            refused.extend([] if terms.admits(key, before) else [key])
            return not refused

        return super().claim_many(now, replace(terms, admits=admits))


class CountsInVain(ExclusiveStorage):
    """Takes whom it asked for as granted, whatever came of it."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        asked: list[str] = []

        def admits(key: str, _: Sequence[str]) -> bool:
            is_admitted = terms.admits(key, asked)
            asked.append(key)
            return is_admitted

        return super().claim_many(now, replace(terms, admits=admits))


class PutsOffTheRefused(ExclusiveStorage):
    """Claims what is not admitted, and gives it back for later."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        admitted: list[Claim] = []
        for claim in super().claim_many(now, replace(terms, admits=lambda *_: True)):
            if terms.admits(claim.route_key, [each.route_key for each in admitted]):
                admitted.append(claim)
            else:
                self.give_back(claim, now + timedelta(minutes=1))
        return admitted


# Giving back


class GivesBackTheFirst(ExclusiveStorage):
    def give_back_many(self, claims: Sequence[Claim]) -> None:
        super().give_back_many(claims[:1])


class GivesBackUpToTheLost(ExclusiveStorage):
    """Takes a lost claim for trouble with all that come behind it."""

    def give_back_many(self, claims: Sequence[Claim]) -> None:
        for claim, standing in zip(claims, self.renew(claims, timedelta(minutes=1)), strict=True):
            if standing is None:
                return
            self.give_back(claim)


class ReleasesWhatItGivesBack(ExclusiveStorage):
    """Makes a message free again, whatever was asked of it."""

    def give_back_many(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self.order(Order.RELEASE, Selection(message_id=claim.email.message_id), NOW)
        super().give_back_many(claims)


# Marks


class AnswersAsTheFirst(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        marked = super().mark_dots_sent(dots)
        return marked[:1] * len(marked)


class MarksNoneWhereOneIsLost(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        marked = super().mark_dots_sent(dots)
        return [all(marked)] * len(marked)


class EndsAtTheFirstLost(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        for index, dot in enumerate(dots):
            if super().mark_dots_sent([dot]) == [False]:
                return [True] * index + [False] * (len(dots) - index)
        return [True] * len(dots)


class MarksTheLast(ExclusiveStorage):
    """Writes one mark, and says so of all."""

    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        super().mark_dots_sent(dots[-1:])
        return [True] * len(dots)


class MarksWholeClaims(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        return super().mark_dots_sent(
            [(claim, [each.address for each in claim.recipients]) for claim, _ in dots]
        )


class MarksAClaimOnce(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        by_token = {claim.token: (claim, addresses) for claim, addresses in dots}
        return super().mark_dots_sent(list(by_token.values()))


class MarksAtLeastOne(ExclusiveStorage):
    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        return super().mark_dots_sent(dots) or [True]
