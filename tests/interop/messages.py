"""Messages that a careless client or server would change on the way."""

from __future__ import annotations

from mailstrom import Attachment, Email

SENDER = "Zoë Sender <zoe@sender.test>"
RECIPIENT = "Rob <rob@mx.test>"

_HEAD = (
    b"From: zoe@sender.test\r\n"
    b"To: rob@mx.test\r\n"
    b"Subject: bytes\r\n"
    b"Date: Sun, 01 Mar 2026 10:00:00 +0000\r\n"
    b"Message-ID: <%s@sender.test>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
)

_BODIES = {
    "lines-of-dots": b".\r\n..\r\n...\r\n.leading\r\nin.side\r\ntrailing.\r\n",
    "ends-with-a-dot": b"text\r\n.\r\n",
    "empty-lines-at-the-end": b"text\r\n\r\n\r\n\r\n",
    "spaces-at-the-ends-of-lines": b"text \r\n \t\r\n\t\r\nmore  \r\n",
    "eight-bit-text": "Grüße, Ωμέγα, 日本語\r\n".encode(),
    "eight-bit-that-is-no-utf-8": bytes(range(0x80, 0x100)) + b"\r\n",
    "longest-line": b"x" * 998 + b"\r\n" + b"." + b"y" * 996 + b"\r\n",
    "from-at-the-start-of-a-line": b"From here on\r\n>From there\r\n",
    "commands": b"QUIT\r\nRSET\r\nMAIL FROM:<x@y.test>\r\n250 ok\r\n",
    "much": b"0123456789abcdef.\r\n" * 40_000,
    "nothing": b"",
}

EMAILS: dict[str, Email | bytes] = {
    "plain": Email(from_=SENDER, to=RECIPIENT, subject="Hello", text="Good to hear from you.\n"),
    "in-many-languages": Email(
        from_=SENDER, to="Jörg Müller <rob@mx.test>", subject="Grüße an 日本" * 9, text="Ωμέγα\n.\n日本語\n"
    ),
    "with-an-attachment": Email(
        from_=SENDER,
        to=RECIPIENT,
        subject="Report",
        text="See below.\n",
        html="<p>See below.</p>\n",
        attachments=[Attachment(filename="größe.bin", content=bytes(range(256)) * 50)],
    ),
    **{name: _HEAD % name.encode() + body for name, body in _BODIES.items()},
}
