"""What the hosts of a story took: which mail, for whom, when; and whether it was theirs, and whole."""

from __future__ import annotations

import email
import email.policy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from mailstrom.testing.smtp_server import ReceivedMessage, SmtpServer

from .plan import MailPlan, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One yes to the final dot, for one recipient."""

    host: str
    at: float


def taken_by(servers: Mapping[str, SmtpServer], plan: Plan) -> Mapping[tuple[int, str], list[Taken]]:
    """By number of mail and address. AssertionError for what came to a wrong host, or not as it was sent."""
    mails = {mail.number: mail for mail in plan.mails}
    hosts = {domain.name: domain.mx for domain in plan.domains}
    contents: dict[int, bytes] = {}
    found: dict[tuple[int, str], list[Taken]] = defaultdict(list)
    for name, server in servers.items():
        for message in server.ledger.messages:
            number = int(message.content.split(b"Subject: mail ", 1)[1].split(b"\r\n", 1)[0])
            _check_whole(mails[number], message, contents)
            for address in message.recipients:
                assert name in hosts[address.rpartition("@")[2]], f"{name} is no host for {address}"
                found[number, address].append(Taken(host=name, at=message.at))
    return found


def _check_whole(mail: MailPlan, message: ReceivedMessage, contents: dict[int, bytes]) -> None:
    """Each copy is the same, and says what was written."""
    if mail.number not in contents:
        parsed = email.message_from_bytes(message.content, policy=email.policy.SMTP)
        text = parsed.get_content()
        assert text.rstrip() == "." * mail.octets, f"mail {mail.number} came with another text"
        contents[mail.number] = message.content
    # who sends once more what may not have been stored composes it anew
    if mail.times == 1:
        assert contents[mail.number] == message.content, f"mail {mail.number} came with other octets"
