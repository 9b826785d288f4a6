"""The address tables of tests/vectors/1-address against the message room.

Other programs' verdicts are theirs: they can be stricter or laxer than the RFCs. Where one
stands alone the case is judged by what the RFC says, by the rules written out below, never
by naming a case.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.address import Mailbox, parse_mailbox
from mailstrom.message.grammar import (
    classify_addr_spec,
    is_address_literal,
    is_smtp_domain,
    is_smtp_local_part,
    is_smtp_mailbox,
    wire_local_part,
)

Case = dict[str, Any]

VECTORS = Path(__file__).parents[2] / "vectors" / "1-address"


def cases(name: str) -> list[Any]:
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


def accepted(given: Any) -> Mailbox | None:
    """What `parse_mailbox` makes of it, None for a refusal; nothing else may come out."""
    try:
        return parse_mailbox(given, field="to")
    except MessageError:
        return None


def verdicts(address: str, *, utf8: bool) -> dict[str, object]:
    return {
        "rfc5322_addr_spec": str(classify_addr_spec(address, utf8=utf8)),
        "rfc5321_mailbox": is_smtp_mailbox(address, utf8=utf8),
    }


# --- isemail: the grammar, by the letter


@pytest.mark.parametrize("case", cases("isemail"))
def test_the_grammars_say_what_the_abnf_says(case: Case) -> None:
    """RFC 5322 3.4.1, 4.4; RFC 5321 4.1.2, 4.1.3, 4.5.3.1.

    Where the two readers of the table differ, the one made from the ABNF decides: the other
    adds rules for DNS names (hyphens at the ends of labels), counts CFWS beside the "@" as
    obsolete although RFC 5322 3.2.3 has it in dot-atom, takes quoted-pairs in a domain
    literal for current although 4.4 has them in obs-dtext, and lets "::" stand for a single
    group, which RFC 5321 4.1.3 forbids.
    """
    assert verdicts(case["address"], utf8=False) == case["by_abnf"]
    if "by_abnf_utf8" in case:
        assert verdicts(case["address"], utf8=True) == case["by_abnf_utf8"]


@pytest.mark.parametrize("case", cases("isemail"))
def test_what_is_accepted_for_sending_is_a_mailbox_and_the_same_mailbox(case: Case) -> None:
    """S6, S7: one address in, the same address out, or an error."""
    mailbox = accepted(case["address"])

    if mailbox is None:
        return
    assert is_smtp_mailbox(mailbox.address)
    assert parse_mailbox(mailbox.address) == mailbox
    # white space around an address is no part of it; nothing else may have gone
    assert is_smtp_mailbox(case["address"].strip(" \t"))


# --- email-validator: internationalised addresses, normalisation, lengths


def is_source_policy(case: Case) -> bool:
    """The source's own rules, which no RFC has and we do not share.

    Addresses of closed networks can be sent to: domains without a dot, and the reserved names
    of RFC 6761. Address literals, display names and SMTPUTF8 are on here.
    """
    group, reason = case["group"], case.get("source_reason", "")
    options = ("should have a period", "bracketed IP address", "not permitted here", "not allowed here")
    return (
        "reserved_domain" in group
        or group.endswith("smtputf8_off")
        or any(option in reason for option in options)
        or "special-use" in reason
    )


@pytest.mark.parametrize("case", cases("email_validator"))
def test_internationalised_addresses_are_judged_by_grammar_idna_and_unicode(case: Case) -> None:
    """RFC 5321 4.1.2, RFC 5890-5892, RFC 6531 3.3, RFC 6532 3.1."""
    given = case["input"]
    if "by_abnf" in case:
        judged = dict(case["by_abnf"])
        assert verdicts(given, utf8=judged.pop("utf8")) == judged

    mailbox = accepted(given)

    if case["expect"] == "valid":
        assert mailbox is not None
        _check_parsed(mailbox, case["parsed"])
    elif is_source_policy(case):
        bare = re.fullmatch(r"[^<>]*<([^<>]*)>", given)
        assert (mailbox is not None) == is_smtp_mailbox(bare[1] if bare else given)
    elif given != given.strip(" \t"):
        # RFC 5322 3.4.1: blanks around an addr-spec are no part of it; the envelope has none
        assert (mailbox is not None) == is_smtp_mailbox(given.strip(" \t"))
    else:
        assert mailbox is None


def _check_parsed(mailbox: Mailbox, parsed: dict[str, Any]) -> None:
    local_part, _, domain = mailbox.address.rpartition("@")
    shown = str(parse_mailbox(mailbox.address))
    ours = {
        "original": None,  # what was given, whatever it was
        "local_part": local_part,
        "ascii_local_part": local_part,
        "smtputf8": mailbox.needs_smtputf8,
        "ascii_domain": domain,
        "domain": shown.rpartition("@")[2],
        "domain_address": None,
        "normalized": shown,
        "ascii_email": mailbox.address,
        "display_name": mailbox.name,
    }
    compared = {key: value for key, value in parsed.items() if ours[key] is not None}
    assert {key: ours[key] for key in compared} == compared


# --- other programs


@pytest.mark.parametrize("case", cases("peers"))
def test_other_programs_cases_hold(case: Case) -> None:
    """RFC 5321 3.3, 4.1.1, 4.1.2, 4.1.3."""
    kind = case["kind"]
    if kind == "rfc5321-local-part":
        assert is_smtp_local_part(case["input"]) == (case["expect"] == "valid")
    elif kind == "rfc5321-mailbox":
        _check_mailbox(case)
    elif kind == "local-part-to-wire":
        _check_local_part_to_wire(case)
    elif kind == "recipient string":
        assert (accepted(case["input"]) is not None) == (case["expect"] == "valid")
    elif kind.startswith("name + addr-spec"):
        assert (accepted((case["name"], case["input"])) is not None) == (case["expect"] == "valid")
    elif kind.startswith("reverse-path"):
        _check_reverse_path(case)
    elif kind == "SMTP command line":
        _check_command_line(case)
    else:
        pytest.fail(f"no reading for the kind {kind!r}")


def _check_mailbox(case: Case) -> None:
    is_valid = case["expect"] == "valid"
    assert is_smtp_mailbox(case["input"]) == is_valid
    if not is_valid:
        assert accepted(case["input"]) is None


def _check_local_part_to_wire(case: Case) -> None:
    local_part, wire = case["input"], wire_local_part(case["input"])
    if re.search(r"[\x00-\x1f\x7f]", local_part):
        # RFC 5321 4.1.2: neither qtextSMTP nor quoted-pairSMTP has a control character, so
        # there is no such form on the wire, whatever a program writes
        assert wire is None
        return
    assert wire == case["expect_wire"]
    assert is_smtp_local_part(wire)


def _check_reverse_path(case: Case) -> None:
    """A path with angle brackets or, in the lenient source, without; "<>" is the null path."""
    if case["expect"] == "valid":
        assert case["path"] == "" or is_smtp_mailbox(case["path"])
        return
    given = case["input"]
    path = given[1:-1] if given.startswith("<") and given.endswith(">") else given
    assert not is_smtp_mailbox(path)


def _check_command_line(case: Case) -> None:
    """What a client must never send it cannot send; what is right, a strict reader takes."""
    assert is_right_line(case["input"], client=False) == (case["expect"] == "valid")
    if case["expect"] != "valid":
        assert not is_right_line(case["input"], client=True)


def is_right_line(line: str, *, client: bool) -> bool:
    """The line by RFC 5321 4.1.1, its addresses by our grammar.

    A client generates neither source routes (RFC 5321 F.2) nor address literals with a tag
    that nobody registered (4.1.3), but they are right by the grammar.
    """
    verb, _, rest = line.partition(" ")
    match verb.upper():
        case "EHLO" | "HELO":
            return is_smtp_domain(rest, utf8=False) or is_literal_for(rest, client=client)
        case "MAIL":
            return is_right_path(rest, "FROM:", special="", client=client)
        case "RCPT":
            return is_right_path(rest, "TO:", special="postmaster", client=client)
        case _:
            return line.isprintable() and line.isascii()


def is_right_path(rest: str, keyword: str, *, special: str, client: bool) -> bool:
    found = re.fullmatch(rf"{keyword}<((?:\"(?:[^\"\\]|\\.)*\"|[^\">])*)>((?: \S+)*)", rest, re.IGNORECASE)
    if found is None:
        return False
    # RFC 5321 4.1.2: esmtp-param
    parameters = found[2].split(" ")[1:]
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*(=[!-<>-~]+)?", parameter) for parameter in parameters):
        return False
    path = found[1]
    if not client:
        path = re.sub(r"^@[^:@]+(,@[^:@]+)*:", "", path)
    local_part, _, domain = path.rpartition("@")
    if domain.startswith("[") and not client:
        return is_smtp_local_part(local_part) and is_literal_for(domain, client=False)
    return path.lower() == special or is_smtp_mailbox(path)


def is_literal_for(text: str, *, client: bool) -> bool:
    if is_address_literal(text):
        return True
    general = re.fullmatch(r"\[([A-Za-z0-9-]*[A-Za-z0-9]):[!-Z^-~]+\]", text)
    return not client and general is not None and general[1].lower() != "ipv6"
