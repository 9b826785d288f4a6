"""The mail in the measured queues.

It is for one domain mostly, and a little each for many others. The first letter to each domain
has 100 readers, so that a claim has 100 recipients, whichever domain's turn it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mailstrom import Attempt, Config, Delivered, Email, EnhancedCode, Mailstrom, Phase, Reply
from mailstrom.abc import CLAIM_LIMIT, Claim, Outcome, Settlement

from .letters import letters

__all__ = ["HELO", "MOST", "OTHERS", "an_email", "delivered", "mixed_mail", "store"]

HELO = "sender.example"
MOST = "most.example"
OTHERS = tuple(f"dest{number}.example" for number in range(20))

FOR_MOST = 0.6  # of all letters
OCTETS = 1024  # of text and HTML


def mixed_mail(count: int) -> Iterator[Email]:
    """So many letters to all of the domains."""
    seen: set[str] = set()
    for number in range(count):
        domain = MOST if number < count * FOR_MOST else OTHERS[number % len(OTHERS)]
        yield an_email(number, domain, recipients=1 if domain in seen else CLAIM_LIMIT)
        seen.add(domain)


def an_email(number: int, domain: str, recipients: int = 1) -> Email:
    """A letter to readers at this domain."""
    (letter,) = letters("ASCII", 1, octets=OCTETS)
    return Email(
        from_=f"service@{HELO}",
        to=[f"reader{number}-{reader}@{domain}" for reader in range(recipients)],
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
    )


def store(url: str, emails: Sequence[Email]) -> None:
    """Puts them into the queue, in one transaction."""
    with Mailstrom(Config(helo_name=HELO), url) as m:
        m.send_emails(emails)


def delivered(claim: Claim, at: datetime) -> Settlement:
    """All recipients of the claim delivered, at the first try."""
    reply = Reply(code=250, enhanced=EnhancedCode(2, 0, 0), text="OK")
    attempt = Attempt(
        at=at,
        duration_secs=0.3,
        host=f"mx.{claim.route_key}",
        ip="192.0.2.25",
        port=25,
        phase=Phase.DOT,
        reply=reply,
        state="delivered",
    )
    result = Delivered(tries=1, reply=reply)
    outcomes = (
        Outcome(address=each.address, result=result, attempts=(attempt,)) for each in claim.recipients
    )
    return Settlement(claim=claim, outcomes=tuple(outcomes))
