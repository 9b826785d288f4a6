"""What a caller writes into an Email, and what stands on the wire: values, addresses, fields, helpers."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import sys
from datetime import UTC, datetime, timedelta, timezone
from email import headerregistry
from subprocess import run
from typing import Any

import pytest

from mailstrom import (
    AsyncMailstrom,
    Attachment,
    Config,
    DsnOptions,
    Email,
    Group,
    Mailbox,
    Mailstrom,
    MessageError,
    RelayConfig,
)
from mailstrom.message import parse_mailbox, parse_mailboxes
from tests.blackbox.sink import Sink
from tests.blackbox.wire import body, field, fields, least, names, octets, read, sent

ANN = Mailbox(name="Ann", local_part="ann", domain="a.example")
BOB = Mailbox(local_part="bob", domain="b.example")
TEAM = Group(name="Team", members=(ANN, BOB))


@pytest.mark.parametrize(
    "value",
    [ANN, TEAM, least(), Attachment("a.txt", b"a"), DsnOptions(envid="1")],
    ids=lambda value: type(value).__name__,
)
def test_a_value_cannot_be_changed(value: Any) -> None:
    name = dataclasses.fields(value)[0].name

    with pytest.raises((AttributeError, TypeError)):
        setattr(value, name, None)
    with pytest.raises((AttributeError, TypeError)):
        value.something_new = 1

    assert hash(value) == hash(copy.deepcopy(value))


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("Ann <ann@a.example>", (ANN,)),
        (("Ann", "ann@a.example"), (ANN,)),
        (headerregistry.Address("Ann", "ann", "a.example"), (ANN,)),
        (ANN, (ANN,)),
        (TEAM, (TEAM,)),
        ("Team: Ann <ann@a.example>, bob@b.example;", (TEAM,)),
        (
            headerregistry.Group(
                "Team",
                (
                    headerregistry.Address("Ann", "ann", "a.example"),
                    headerregistry.Address("", "bob", "b.example"),
                ),
            ),
            (TEAM,),
        ),
        (["Ann <ann@a.example>", ("", "bob@b.example")], (ANN, BOB)),
        ([ANN, "bob@b.example", TEAM], (ANN, BOB, TEAM)),
        ("Ann <ann@a.example>, bob@b.example", (ANN, BOB)),
        (iter([ANN, BOB]), (ANN, BOB)),
        ("nobody:;", (Group(name="nobody"),)),
        (None, ()),
    ],
)
def test_addresses_are_taken_in_every_form_and_kept_in_one(given: Any, read_as: Any) -> None:
    email = Email(from_="x@x.example", cc=given)

    assert email.cc == read_as


@pytest.mark.parametrize("keyword", ["from_", "to", "cc", "bcc", "reply_to"])
def test_each_field_of_addresses_is_a_tuple_of_mailboxes_and_groups(keyword: str) -> None:
    email = least(**{"sender": "x@x.example", keyword: [ANN, TEAM]})

    assert getattr(email, keyword) == (ANN, TEAM)
    assert isinstance(getattr(email, keyword), tuple)


def test_every_field_of_an_email_stands_in_its_header_field() -> None:
    when = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=1)))
    email = Email(
        date=when, from_="Ann <ann@a.example>", sender="Sec <sec@a.example>", reply_to=[ANN, BOB],
        to=[BOB, TEAM], cc="c@c.example", bcc="secret@d.example",
        message_id="1@a.example", in_reply_to="<0@b.example>",
        references=["9@b.example", "<0@b.example>"], subject="Hello", comments=["one", "two"],
        keywords=["red", "very blue"], headers=[("X-Tag", "a"), ("X-Tag", "b")], text="Hi.\n",
    )  # fmt: skip

    out = sent(email)

    assert (email.date, email.message_id) == (when, "1@a.example")
    assert email.in_reply_to == ("0@b.example",)
    assert email.references == ("9@b.example", "0@b.example")
    assert sorted(fields(out.content)) == sorted(
        [
            ("Date", "Mon, 02 Mar 2026 09:30:00 +0100"), ("From", "Ann <ann@a.example>"),
            ("Sender", "Sec <sec@a.example>"), ("Reply-To", "Ann <ann@a.example>, bob@b.example"),
            ("To", "bob@b.example, Team: Ann <ann@a.example>, bob@b.example;"), ("Cc", "c@c.example"),
            ("Message-ID", "<1@a.example>"), ("In-Reply-To", "<0@b.example>"),
            ("References", "<9@b.example> <0@b.example>"), ("Subject", "Hello"), ("Comments", "one"),
            ("Comments", "two"), ("Keywords", "red, very blue"), ("X-Tag", "a"), ("X-Tag", "b"),
            ("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "7bit"),
        ]
    )  # fmt: skip
    assert set(out.recipients) == {"bob@b.example", "ann@a.example", "c@c.example", "secret@d.example"}
    assert out.reverse_path == "sec@a.example"
    assert b"secret" not in out.content


def test_groups_may_stand_in_from_and_sender() -> None:
    out = sent(least(from_=TEAM, sender=Group(name="Nobody in particular")))

    assert field(out.content, "From") == "Team: Ann <ann@a.example>, bob@b.example;"
    assert field(out.content, "Sender") == "Nobody in particular:;"
    assert Email.parse(out.content).from_ == (TEAM,)


def test_replace_changes_what_is_named_and_nothing_else() -> None:
    email = least(cc="c@c.example", headers={"X-A": "1"})

    other = email.replace(subject="New", to=BOB)

    assert (other.subject, other.to) == ("New", (BOB,))
    assert (other.cc, other.headers, other.text) == (email.cc, email.headers, email.text)
    assert email.subject == "Hi"
    assert other.replace(subject="Hi", to=email.to) == email


@pytest.mark.parametrize(
    "two",
    ["a@a.example, b@b.example", "G: a@a.example;", "", "a@a.example b@b.example", "a@a.example;b@b.example"],
)
def test_one_address_is_demanded_where_one_is_meant(two: str) -> None:
    with pytest.raises(MessageError) as one:
        parse_mailbox(two, field="owner")
    with pytest.raises(MessageError) as pair:
        parse_mailboxes(("Ann", two), field="owner")

    assert one.value.field == pair.value.field == "owner"


def test_two_senders_are_refused_and_several_authors_need_one() -> None:
    with pytest.raises(MessageError) as two:
        least(sender="a@a.example, b@b.example")
    with pytest.raises(MessageError) as none:
        sent(least(from_="a@a.example, b@b.example"))

    assert (two.value.field, none.value.field) == ("sender", "sender")


def test_a_name_with_an_at_sign_or_comma_stays_a_name() -> None:
    out = sent(least(to=[("Smith, Ann @ b.example", "ann@a.example"), ('Q"uo\\te', "bob@b.example")]))

    read_back = read(out.content)["to"].addresses
    assert [(a.display_name, a.addr_spec) for a in read_back] == [
        ("Smith, Ann @ b.example", "ann@a.example"),
        ('Q"uo\\te', "bob@b.example"),
    ]
    assert out.recipients == ("ann@a.example", "bob@b.example")


@pytest.mark.parametrize(
    ("given", "on_the_wire", "shown"),
    [
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example", "ann@b\u00fccher.example"),
        ("ann@B\u00dcCHER.example", "ann@xn--bcher-kva.example", "ann@b\u00fccher.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example", "ann@b\u00fccher.example"),
        ("ann@fa\u00df.example", "ann@xn--fa-hia.example", "ann@fa\u00df.example"),
        ("ann@\u4f8b\u3048.example", "ann@xn--r8jz45g.example", "ann@\u4f8b\u3048.example"),
    ],
)
def test_domains_are_a_labels_on_the_wire_and_u_labels_for_people(
    given: str, on_the_wire: str, shown: str
) -> None:
    mailbox = parse_mailbox(given)
    out = sent(least(to=given, from_=given))

    assert (mailbox.address, str(mailbox)) == (on_the_wire, shown)
    assert (out.recipients, out.reverse_path) == ((on_the_wire,), on_the_wire)
    assert field(out.content, "To") == field(out.content, "From") == on_the_wire
    assert not out.needs_smtputf8


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        (
            {
                "to": "J\u00f6rg <j@b\u00fccher.example>",
                "subject": "\u00fc",
                "text": "\u00fc",
                "html": "\u00fc",
            },
            False,
        ),
        ({"to": "j\u00f6rg@b.example"}, True),
        ({"from_": "j\u00f6rg@b.example"}, True),
        ({"reply_to": "j\u00f6rg@b.example"}, True),
    ],
)
def test_smtputf8_is_needed_only_by_a_local_part(changes: dict[str, Any], needed: bool) -> None:
    assert sent(least(**changes)).needs_smtputf8 is needed


def test_a_bcc_that_needs_smtputf8_does_not_take_the_others_with_it() -> None:
    with Sink(extensions=("PIPELINING", "8BITMIME")) as sink:
        relay = RelayConfig("127.0.0.1", sink.port, tls="none")
        with Mailstrom(Config("h.example", delivery=relay)) as m:
            status = m.start().wait(m.send_email(least(bcc="j\u00f6rg@b.example")), timeout=30)

    assert [recipient.result.state for recipient in status.recipients] == ["delivered", "failed"]
    assert sink.mails[0].recipients == ["<bob@b.example>"]


def test_quoted_local_parts_and_address_literals_pass_through() -> None:
    given = [
        '"a b"@b.example',
        '"just.quoted"@b.example',
        '"x@y"@b.example',
        "c@[192.0.2.1]",
        "d@[IPv6:2001:db8::1]",
    ]

    out = sent(least(to=given))

    assert out.recipients == (
        '"a b"@b.example', "just.quoted@b.example", '"x@y"@b.example', "c@[192.0.2.1]",
        "d@[IPv6:2001:db8::1]",
    )  # fmt: skip
    assert [a.addr_spec for a in read(out.content)["to"].addresses] == list(out.recipients)


def test_list_unsubscribe_sets_both_fields() -> None:
    email = least().list_unsubscribe("https://a.example/u?1,2", mailto="leave@a.example")

    content = sent(email).content

    both = field(content, "List-Unsubscribe").split(", ")
    assert sorted(both) == ["<https://a.example/u?1,2>", "<mailto:leave@a.example>"]
    assert field(content, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    again = sent(email.list_unsubscribe("https://a.example/v")).content
    assert field(again, "List-Unsubscribe") == "<https://a.example/v>"


@pytest.mark.parametrize(
    "url", ["http://a.example/u", "HTTP://a.example", "mailto:a@a.example", "a.example/u", ""]
)
def test_list_unsubscribe_demands_https(url: str) -> None:
    with pytest.raises(MessageError) as refused:
        least().list_unsubscribe(url)

    assert refused.value.field == "list_unsubscribe.url"


def test_a_long_unsubscribe_url_is_neither_encoded_nor_folded_inside() -> None:
    url = "https://a.example/" + "x" * 800

    content = sent(least().list_unsubscribe(url, mailto="leave@a.example")).content

    assert f"<{url}>".encode() in content
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_bulk_and_auto_submitted_set_their_fields_once() -> None:
    content = sent(least().bulk().bulk().auto_submitted().auto_submitted("auto-replied")).content

    assert field(content, "Precedence") == "bulk"
    assert field(content, "Auto-Submitted") == "auto-replied"


@pytest.mark.parametrize(
    ("original", "references"),
    [  # RFC 5322 3.6.4
        ({"references": ["0@b.example"], "in_reply_to": ["x@b.example"]}, ("0@b.example", "1@b.example")),
        ({"in_reply_to": ["0@b.example"]}, ("0@b.example", "1@b.example")),
        ({"in_reply_to": ["0@b.example", "9@b.example"]}, ("1@b.example",)),
        ({}, ("1@b.example",)),
    ],
)
def test_a_reply_points_to_its_original(original: dict[str, Any], references: tuple[str, ...]) -> None:
    question = least(message_id="1@b.example", **original)

    answer = least(reply_to="desk@a.example").reply_to(question)

    assert (answer.in_reply_to, answer.references) == (("1@b.example",), references)
    assert answer.reply_to == (Mailbox(local_part="desk", domain="a.example"),)
    assert field(sent(answer).content, "References") == " ".join(f"<{i}>" for i in references)


def test_a_reply_to_nothing_that_can_be_named_is_refused() -> None:
    with pytest.raises(MessageError):
        least().reply_to(least())


def test_dsn_options_ride_in_the_envelope_and_not_in_the_content() -> None:
    dsn = DsnOptions(notify=("FAILURE", "DELAY"), ret="HDRS", envid="order+4711=")

    out = sent(least(dsn=dsn))

    assert out.dsn == dsn
    assert b"4711" not in out.content


@pytest.mark.parametrize("name", ["Subject", "Comments", "X-Note"])
def test_what_looks_like_an_encoded_word_arrives_as_these_characters(name: str) -> None:
    text = "=?utf-8?q?x?= and =?utf-8?b?eA==?="
    given: Any = {
        "Subject": {"subject": text},
        "Comments": {"comments": text},
        "X-Note": {"headers": {name: text}},
    }

    content = octets(**given[name])

    assert str(read(content)[name]) == text
    assert Email.parse(content).replace(date=None, message_id=None) == least(**given[name])


def test_message_ids_are_never_encoded_and_folded_only_between() -> None:
    ids = [f"{'x' * 60}{number}@b.example" for number in range(80)]

    content = octets(references=ids, in_reply_to=ids[:3])

    assert field(content, "References").split() == [f"<{i}>" for i in ids]
    assert all(line.count(b"<") == line.count(b">") for line in content.split(b"\r\n"))
    assert b"=?" not in content


def test_texts_get_crlf_and_an_end_and_no_other_change() -> None:
    content = octets(text="one\rtwo\nthree\r\n\r\nfour \n.five\nFrom six")

    assert body(content) == b"one\r\ntwo\r\nthree\r\n\r\nfour \r\n.five\r\nFrom six\r\n"


def test_a_generated_message_id_and_date_stand_there() -> None:
    first, second = sent(least()), sent(least())

    assert first.message_id != second.message_id
    assert field(first.content, "Message-ID") == f"<{first.message_id}>"
    assert first.message_id.endswith("@a.example")
    assert abs(read(first.content)["date"].datetime - datetime.now(UTC)) < timedelta(minutes=1)


def test_asyncio_callers_send_the_same_octets() -> None:
    email = least(message_id="1@a.example", date=datetime(2026, 3, 2, tzinfo=UTC), html="<p>Hi")

    async def other() -> bytes:
        async with AsyncMailstrom(Config(mode="capture")) as m:
            await m.start()
            await m.wait(await m.send_email(email), timeout=30)
            return m.outbox[0].content

    assert asyncio.run(other()) == sent(email).content


def test_the_command_line_sends_text_html_and_files(tmp_path: Any) -> None:
    (tmp_path / "\u00dcber.csv").write_bytes(b"a;b\n")
    with Sink() as sink:
        command = [
            sys.executable, "-m", "mailstrom", "send", "--relay", f"smtp://127.0.0.1:{sink.port}",
            "--helo", "h.example",
            "--from", "J\u00f6rg <me@a.example>", "--to", "you@b.example", "--bcc", "x@b.example",
            "--subject", "Gr\u00fc\u00dfe", "--text", "Sch\u00f6n", "--html", "<p>Sch\u00f6n",
            "--attach", str(tmp_path / "\u00dcber.csv"),
        ]  # fmt: skip
        ended = run(command, capture_output=True, text=True, timeout=50)
        assert ended.returncode == 0, ended.stderr
        message = read(sink.mails[0].content)

    assert (str(message["subject"]), message["from"].addresses[0].display_name) == (
        "Gr\u00fc\u00dfe",
        "J\u00f6rg",
    )
    assert [part.get_filename() for part in message.iter_attachments()] == ["\u00dcber.csv"]
    assert message.get_body(("plain",)).get_content() == "Sch\u00f6n\r\n"
    assert "bcc" not in names(sink.mails[0].content)
