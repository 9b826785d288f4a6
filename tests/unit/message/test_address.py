"""`message.address`: what callers give as addresses."""

from __future__ import annotations

import pickle
from email.headerregistry import Address as StdlibAddress
from email.headerregistry import Group as StdlibGroup
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.address import (
    Group,
    Mailbox,
    expanded,
    parse_address_field,
    parse_mailbox,
    parse_mailboxes,
)
from mailstrom.message.reading.cursor import Reading

ANN = Mailbox(name="Ann", local_part="ann", domain="example.org")
BOB = Mailbox(local_part="bob", domain="example.net")


def refusal(text: Any, *, field: str = "to") -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse_mailboxes(text, field=field)
    assert caught.value.field == field
    return caught.value


# --- what is accepted


@pytest.mark.parametrize(
    "given_as",
    (
        "Ann <ann@example.org>, bob@example.net",
        '"Ann" <ann@EXAMPLE.org>,bob@example.net',
        "Ann<ann@example.org> , <bob@example.net>",
        ["Ann <ann@example.org>", "bob@example.net"],
        [("Ann", "ann@example.org"), (None, "bob@example.net")],
        [ANN, BOB],
        (ANN, BOB),
        iter([ANN, "bob@example.net"]),
        [StdlibAddress("Ann", "ann", "example.org"), StdlibAddress("", "bob", "example.net")],
    ),
)
def test_an_address_may_be_given_in_any_of_these_forms(given_as: Any) -> None:
    assert parse_mailboxes(given_as, field="to") == (ANN, BOB)


def test_a_group_holds_mailboxes_and_expands_in_its_place() -> None:
    """RFC 5322 3.4, RFC 6854."""
    friends = Group(name="Friends", members=(ANN, BOB))

    found = parse_mailboxes(
        "x@example.com, Friends: Ann <ann@example.org>, bob@example.net;, Nobody:;", field="to"
    )

    x = Mailbox(local_part="x", domain="example.com")
    assert found == (x, friends, Group(name="Nobody"))
    assert tuple(expanded(found)) == (x, ANN, BOB)
    assert parse_mailboxes(StdlibGroup("Friends", (StdlibAddress("Ann", "ann", "example.org"),))) == (
        Group(name="Friends", members=(ANN,)),
    )


def test_nothing_is_no_address() -> None:
    assert parse_mailboxes(None) == ()
    assert parse_mailboxes([]) == ()


@pytest.mark.parametrize(
    ("text", "name"),
    (
        ('"Doe, John" <j@example.org>', "Doe, John"),
        ("J. Doe <j@example.org>", "J. Doe"),
        ("Example Inc. <j@example.org>", "Example Inc."),
        ('"Joe \\"Q\\" \\\\ Public" <j@example.org>', 'Joe "Q" \\ Public'),
        ("\u7530\u4e2d\u592a\u90ce <j@example.org>", "\u7530\u4e2d\u592a\u90ce"),
        ("=?utf-8?q?J=C3=BCri?= <j@example.org>", "=?utf-8?q?J=C3=BCri?="),
        ('"" <j@example.org>', None),
    ),
)
def test_a_name_is_the_text_that_was_given(text: str, name: str | None) -> None:
    assert parse_mailbox(text) == Mailbox(name=name, local_part="j", domain="example.org")


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    (
        ("joe@b\u00fccher.example", "joe@xn--bcher-kva.example", "joe@b\u00fccher.example"),
        ("joe@XN--BCHER-KVA.example", "joe@xn--bcher-kva.example", "joe@b\u00fccher.example"),
        ("joe@B\u00dcCHER.example", "joe@xn--bcher-kva.example", "joe@b\u00fccher.example"),
        ("Joe@Example.ORG", "Joe@example.org", "Joe@example.org"),
        ('"joe"@example.org', "joe@example.org", "joe@example.org"),
        ('"a b"@example.org', '"a b"@example.org', '"a b"@example.org'),
        ("joe@[192.0.2.1]", "joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ("joe@[ipv6:2001:DB8::1]", "joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"),
        ("a%b!c@example.org", "a%b!c@example.org", "a%b!c@example.org"),
        ("j\u00f6rg@example.org", "j\u00f6rg@example.org", "j\u00f6rg@example.org"),
        # Cyrillic a: nothing forbids it, and the A-label shows it
        ("x@p\u0430ypal.example", "x@xn--pypal-4ve.example", "x@p\u0430ypal.example"),
    ),
)
def test_the_wire_has_a_labels_and_people_see_u_labels(text: str, address: str, shown: str) -> None:
    """P16, P17, S8; RFC 5890, RFC 5321 4.1.2."""
    mailbox = parse_mailbox(text)

    assert (mailbox.address, str(mailbox)) == (address, shown)
    assert mailbox.route_domain == address.rpartition("@")[2]
    assert mailbox.needs_smtputf8 == (not address.isascii())


@pytest.mark.parametrize(
    "text", ("root@localhost", '"a b"@localhost', "x@mail.test", "x@host.local", "x@y.invalid")
)
def test_closed_networks_have_addresses_too(text: str) -> None:
    """Domains without a dot, and the reserved names of RFC 6761."""
    assert parse_mailbox(text).address == text


@given(
    name=st.none() | st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20),
    local_part=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
    domain=st.sampled_from(
        ["example.org", "localhost", "xn--bcher-kva.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"]
    ),
)
def test_what_is_shown_reads_back_as_the_same_mailbox(name: str | None, local_part: str, domain: str) -> None:
    """S6: a quoted local part can never become another address."""
    mailbox = Mailbox(name=name, local_part=local_part, domain=domain)

    assert parse_mailbox(str(mailbox)) == mailbox
    assert parse_mailboxes(f"{mailbox}, {mailbox}") == (mailbox, mailbox)
    assert parse_mailbox(mailbox.address) == Mailbox(local_part=local_part, domain=domain)
    assert pickle.loads(pickle.dumps(mailbox)) == mailbox


@given(
    st.from_regex(r"\A[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,9}(\.[a-z0-9]{1,9}){0,2}\Z"),
    st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}(\.[a-z]{1,6})?\Z"),
)
def test_email_validator_agrees_where_it_is_not_asked(local_part: str, domain: str) -> None:
    """A dot-atom at a host name is accepted by our grammar alone; it could only agree."""
    try:
        parse_mailbox(f"{local_part}@{domain}")
    except MessageError:
        return

    front, dot, last = domain.rpartition(".")
    stand_in = f"{front}{dot}{'x' * len(last)}" if last.isalpha() else domain
    address = f"{local_part}@{stand_in}"

    try:
        validate_email(address, check_deliverability=False, globally_deliverable=bool(dot))
    except EmailNotValidError as error:
        pytest.fail(f"{address}: {error}")


# --- what is refused


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("a@x.y;b@x.y", "semicolon"),
        ("a@x.y b@x.y", "a comma between addresses"),
        ("a@x@z", "one '@'"),
        ("a@x(c)y", "without comments"),
        ("John (home) <a@b>", "without comments"),
        ("@r:b@y", "source route"),
        ("<@a.test,@b.test:joe@example.net>", "source route"),
        ("alice@example.org)bob@example.com", "a comma between addresses"),
        ("foo", "user@example.org"),
        ("a b@c.d", "name <user@example.org>"),
        ("Doe, John <john@example.org>", "user@example.org"),
        ("Ann @ Home <ann@example.org>", "quotes"),
        ("a@b..c", "between dots"),
        ("a..b@c.d", "single dots"),
        (".a@c.d", "single dots"),
        ("<>", "local part"),
        ("a@b.c,", "at the end"),
        (",a@b.c", "user@example.org"),
        ("Name <bad>", "'@'"),
        ("Name <a@b.c", "'>'"),
        ('"', "user@example.org"),
        ("<", "local part"),
        ("a@", "domain"),
        ("a@[1.2.3", "domain"),
        ("a@[1.2.3]", "address literal"),
        ("a@[999.2.3.4]", "address literal"),
        ("x@1.2.3.4", "usable address"),
        ("x@foo_bar.example", "letters, digits and hyphens"),
        ("x@-a.example", "letters, digits and hyphens"),
        ("x@ab--c.example", "'--'"),
        ("x@xn--0.example", "A-label"),
        ("x@a\u00adb.example", "would become"),
        ("x@a\u3002example", "would become"),
        ("x@\uff41.example", "would become"),
        ("x@\U0001f4a9\u200d.example", "IDNA"),
        ("A: B: a@b;;", "not another group"),
        ("A: a@b", "';' at the end of the group"),
        ("A: a@b,;", "after the comma"),
        ('"": a@b;', "a name before ':'"),
        ("", "at the end"),
        (" ", "at the end"),
        ("=?utf-8?q?j=C3=B6rg?=@example.com", "encoded word"),
        ('"=?utf-8?q?j?="@example.com', "encoded word"),
        ('"first".last@example.org', "single dots"),
        ("a@x.y\r\nBcc: b@x.y", "U+000D"),
        ("a\u2028b@x.y", "U+2028"),
        ("a@x.y\u0085", "U+0085"),
        ("a\ud800@x.y", "U+D800"),
        ('"a\\\x01"@x.y', "U+0001"),
        (f"{'a' * 65}@example.org", "64 octets"),
        (f"a@{'b' * 64}.example", "63 octets"),
        (f"a@{'b.' * 127}example", "253 octets"),
        (f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}", "254 octets"),
        (f"{chr(0xE9) * 33}@example.org", "64 octets"),
    ),
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, expected: str) -> None:
    """P22-P25, S1, S6-S8; RFC 5321 4.5.3.1."""
    assert expected in refusal(text).expected


@pytest.mark.parametrize("given_as", (b"a@example.org", 3, [None], [b"a@example.org"], [3], object()))
def test_what_is_no_text_is_no_address(given_as: Any) -> None:
    """P24."""
    assert "str" in refusal(given_as).expected


def test_a_tuple_that_could_be_a_name_or_an_address_is_refused() -> None:
    assert "tuple" in refusal(("ann@example.org", "bob@example.net")).expected
    assert parse_mailbox(("ann@work", "bob@example.net")).name == "ann@work"


@pytest.mark.parametrize("text", ("a@example.org, b@example.org", "G: a@example.org;", "G:;"))
def test_where_one_address_is_expected_several_are_an_error(text: str) -> None:
    """S7."""
    with pytest.raises(MessageError, match="one address, not several and not a group"):
        parse_mailbox(text, field="sender")


def test_a_group_takes_its_members_in_any_form_and_its_name_without_blanks_around() -> None:
    ann = Mailbox(local_part="ann", domain="example.org")

    made = Group(name=" Team ", members=["ann@example.org", ("Bob", "bob@example.org")])  # type: ignore[arg-type]

    assert made.name == "Team"
    assert made.members == (ann, Mailbox(name="Bob", local_part="bob", domain="example.org"))
    with pytest.raises(MessageError, match="not another group"):
        Group(name="Team", members=[Group(name="inner")])  # type: ignore[arg-type]


def test_a_mailbox_cannot_be_made_of_parts_that_are_wrong() -> None:
    for parts in ({"domain": "a b"}, {"local_part": "a\nb"}, {"name": "x\r\nBcc: y"}, {"local_part": ""}):
        with pytest.raises(MessageError):
            Mailbox(**{"local_part": "a", "domain": "example.org"} | parts)
    for parts in ({"name": "a\nb"}, {"name": ""}, {"name": "a", "members": ["a@"]}):
        with pytest.raises(MessageError):
            Group(**parts)


@given(st.text(st.sampled_from(list('ab@.<>,;:"\\() []=?\u00e9\t\n')), max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    """S21."""
    try:
        found = parse_mailboxes(text)
    except MessageError:
        return

    assert parse_mailboxes(", ".join(map(str, found))) == found


@pytest.mark.parametrize(
    "text",
    ("a:" * 50_000, "(" * 50_000, '"' * 50_000, "a " * 50_000, "a." * 50_000, "<" * 50_000, "a@b," * 20_000),
)
def test_long_nonsense_is_refused_quickly(text: str) -> None:
    """S21: one pass, whatever the text; the time limit of the suite is the judge."""
    with pytest.raises(MessageError):
        parse_mailboxes(text)
    with pytest.raises(MessageError):
        parse_address_field(f"{text} (", field="to")


# --- what stands in a finished message


@pytest.mark.parametrize(
    ("value", "shown"),
    (
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete <pete@silly.test>"]),
        ("=?utf-8?q?J=C3=BCri?= =?utf-8?b?w6k=?= <j@example.org>", ["J\u00fcri\u00e9 <j@example.org>"]),
        ("Joe Q. Public <joe@example.org>", ['"Joe Q. Public" <joe@example.org>']),
        ("a@example.org, , b@example.org,", ["a@example.org", "b@example.org"]),
        ("Team:,a@example.net,,b@example.net;", ["Team: a@example.net, b@example.net;"]),
        ("a@example.org (Ann)", ["a@example.org"]),
        ("=?utf-8?q?a=0Ab?= <a@example.org>", ["=?utf-8?q?a=0Ab?= <a@example.org>"]),
        ("=?no-such?q?a?= <a@example.org>", ["=?no-such?q?a?= <a@example.org>"]),
    ),
)
def test_a_finished_message_may_use_the_whole_grammar(value: str, shown: list[str]) -> None:
    """RFC 5322 3.4, 4.4; RFC 2047 5."""
    assert [str(address) for address in parse_address_field(value, field="to")] == shown


@pytest.mark.parametrize(
    "value",
    (
        "",
        " , ",
        "<@a.test:joe@example.net>",
        "jdoe@machine(comment).  example",
        "a@b (open",
        "x@\u3002example",
        '"a"."b"@example.org',
        "A: B: x@example.net;;",
    ),
)
def test_a_finished_message_is_still_read_in_one_way_only(value: str) -> None:
    """S6, S7."""
    with pytest.raises(MessageError):
        parse_address_field(value, field="to")


# --- what stands in a message that is read by the letter


def readings(value: str) -> list[list[str] | None]:
    """What the strict reader makes of it, and what the one of obsolete messages."""
    found: list[list[str] | None] = []
    for reading in (Reading.STRICT, Reading.OBSOLETE):
        try:
            addresses = parse_address_field(value, field="to", reading=reading)
        except MessageError:
            found.append(None)
        else:
            found.append([str(address) for address in addresses])
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    (
        ("a@b.example", ["a@b.example"]),
        ("(c) a (c) @ (c) b.example (c)", ["a@b.example"]),
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete <pete@silly.test>"]),
        ('"Joe \\"Q\\" Public"<j@example.org>', ['"Joe \\"Q\\" Public" <j@example.org>']),
        ('Ann "B." C <a@b.example>', ['"Ann B. C" <a@b.example>']),
        ('"" <a@b.example>', ["a@b.example"]),
        ('"a  b\tc" <a@b.example>', ['"a  b c" <a@b.example>']),
        ("=?utf-8?Q?J=C3=BCri?= =?utf-8?B?w6k=?= X <a@b.example>", ["J\u00fcri\u00e9 X <a@b.example>"]),
        ("=? <a@b.example>", ["=? <a@b.example>"]),
        ("a@[ 192.0.2.1\t]", ["a@[192.0.2.1]"]),
        ("G(c):(c)a@b.example (c), <c@d.example>;(c),x@y.example", [
            "G: a@b.example, c@d.example;", "x@y.example"]),
        ("G:(nobody);", ["G: ;"]),
        ('"a b"@b.example', ['"a b"@b.example']),
    ),
)  # fmt: skip
def test_what_section_3_has_is_read_both_ways_alike(value: str, shown: list[str]) -> None:
    """RFC 5322 3.2.2, 3.4; RFC 2047 5."""
    assert readings(value) == [shown, shown]


@pytest.mark.parametrize(
    ("value", "shown"),
    (
        ("J. R. Doe <a@b.example>", ['"J. R. Doe" <a@b.example>']),
        ("a@b.example, (c), c@d.example,", ["a@b.example", "c@d.example"]),
        ("G:,a@b.example,(c),;", ["G: a@b.example;"]),
        ("<@r.example,@s.example:a@b.example>", ["a@b.example"]),
        ("<@r (c) . example , , @ s:a@b.example>", ["a@b.example"]),
        ('a . "b c" . d @ e . (c) example', ['"a.b c.d"@e.example']),
        ("N <a.b . c@d(c).example>", ["N <a.b.c@d.example>"]),
        ('"a\x01b" <a@b.example> (\x7f)', ["a\ufffdb <a@b.example>"]),
    ),
)
def test_what_section_4_has_is_read_on_demand_only(value: str, shown: list[str]) -> None:
    """RFC 5322 4.1, 4.4."""
    assert readings(value) == [None, shown]


@pytest.mark.parametrize(
    "value",
    (
        "", ",", "(c)", "G: a@b.example", "G: H: a@b.example;;", "Ann", "a@b.example c@d.example", "a@b@c",
        "<>", "Ann <>", "a..b@c.example", ".a@c.example", "a.@c.example", "a@.c", "a@b..c", "a@b.",
        'a"b"@c.example', '"a""b"@c.example',
        "a b@c.example", "Doe, John <j@example.org>", "Ann @ Home <a@b.example>", ".A <a@b.example>",
        "a\x01@b.example",
        '"a\x01"@b.example', "a@b\x01", "A\x01 <a@b.example>", '"a\0b" <a@b.example>', '"a\nb" <a@b.example>',
        "(a\nb) a@b.example", "a@b.example (open", '"open <a@b.example>', "<a@b.example", "a@b.example>",
        "a@[1.2.3.4",
        "a@[x]", "a@b.example;c@d.example", '"=?utf-8?Q?a?=" <a@b.example>', "=?utf-8?Q?a?=@b.example",
        "a@=?utf-8?Q?b?=", "=?utf-8?Q?a b?= <a@b.example>", "=?utf-8?Q?a?=b <a@b.example>",
        "=?utf-8?Q?#?= <a@b.example>", "<@r.example a@b.example>", "<@r.example,:>", "@r.example:a@b.example",
    ),
)  # fmt: skip
def test_what_no_grammar_has_is_refused_both_ways(value: str) -> None:
    """RFC 5322 3.4, 4.4; RFC 2047 5."""
    assert readings(value) == [None, None]


@given(st.text(st.sampled_from(list('ab@.<>,;:"\\() []=?\u00e9\t\x01')), max_size=40))
def test_what_is_read_by_the_letter_is_read_the_same_every_way(value: str) -> None:
    """S6: one address in, the same address out, however it is read."""
    strict, obsolete = readings(value)

    assert strict in (None, obsolete)
    for shown in obsolete or ():
        assert [str(address) for address in parse_mailboxes(shown)] == [shown]
