"""Whole messages to begin from: ordinary ones, obsolete ones, strange ones that are right, signed ones."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["FIELDS", "KEY_RECORDS", "MESSAGES", "RECORDS", "SIGNATURE_VALUES", "SIGNED"]

VECTORS = Path(__file__).parents[1] / "vectors"
LONGEST = 6000  # octets: what is longer takes the time of many

PLAIN = b"""\
Date: Mon, 02 Mar 2026 09:30:00 +0100
Message-ID: <plain@sender.example>
From: Ann Lee <ann@sender.example>
To: Bob <bob@dest.example>, "Doe, Jane" <jane@dest.example>
Cc: Team: a@dest.example, =?utf-8?q?Zo=C3=AB?= <z@dest.example>;
Bcc: secret@dest.example
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= =?utf-8?b?IEvDtmxu?= and more
In-Reply-To: <a@b.example>
References: <a@b.example> <c@d.example>
Keywords: one, "two, three", =?utf-8?q?vier=C3=BC?=
Comments: nothing
X-Tag: folded
 value
List-ID: <list.sender.example>

Hi.

.
From here on
""".replace(b"\n", b"\r\n")

PARTS = b"""\
From: "Ann \\"A\\" Lee" <"ann lee"@sender.example>
Sender: robot@[192.0.2.1]
To: Undisclosed recipients:;
Date: 2 Mar 2026 09:30 -0000
Message-ID: <parts@[192.0.2.1]>
Subject: parts
MIME-Version: 1.0 (really)
Content-Type: multipart/mixed; boundary="=_1_mixed"

preamble
--=_1_mixed
Content-Type: multipart/alternative; boundary="b 2"

--b 2
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe =
on
--b 2
Content-Type: multipart/related; type="text/html"; boundary=b3

--b3
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: base64

PHA+R3L832U8L3A+
--b3
Content-Type: image/png
Content-ID: <logo@mail.example>
Content-Disposition: inline; filename*0*=utf-8''%C3%BC; filename*1="b.png"
Content-Transfer-Encoding: base64

AAEC
--b3--
--b 2
Content-Type: text/calendar; method=REQUEST

BEGIN:VCALENDAR
METHOD:REQUEST
END:VCALENDAR
--b 2--  \n\
--=_1_mixed
Content-Type: message/rfc822
Content-Disposition: attachment; filename=inner.eml

Subject: inside
From: a@b.example

Inner.
--=_1_mixed
Content-Disposition: attachment

plain file
--=_1_mixed--
epilogue
""".replace(b"\n", b"\r\n")

TRACED = b"""\
Return-Path: <ann@sender.example>
Received: from a.example ([192.0.2.1]) by b.example (c) with ESMTP id 1;
 Mon, 02 Mar 2026 09:30:01 +0100
Resent-Date: Mon, 02 Mar 2026 10:30:00 +0100
Resent-From: eve@dest.example
Resent-To: zoe@dest.example, Group: a@b.example;
Resent-Bcc: hidden@dest.example
Resent-Message-ID: <resent@dest.example>
Date: Mon, 02 Mar 2026 09:30:00 +0100 (CET)
From: ann@sender.example (Ann (Lee))
To: bob@dest.example
Subject:
Precedence: bulk

8bit: \xc3\xbc
""".replace(b"\n", b"\r\n")

OBSOLETE = (
    b"""\
From : Ann . Lee <@a.example,@b.example:ann . lee @ sender (c) . example>
To : , bob@dest.example,,
To: Jane Q. "Doe" Jr. <jane@dest.example>
Date : Mon (x) , 2 Mar 26 09 : 30 EST
Message-ID : <"a" . b @ c . example>
References: Your < a @ b > of yesterday <c@[d]>
Subject : blank \t
 \t
 line
Resent-Date: 1 Jan 99 1:00 Z
Return-path: <@r.example:x@y.example>

bare \r and \n and \x01
""".replace(b"\n", b"\r\n")
    .replace(b"\r\r\n", b"\r")
    .replace(b"and \r\n and", b"and \n and")
)

INTERNATIONAL = """\
From: Jörg <jörg@bücher.example>
To: 用户@例子.example
Date: Mon, 02 Mar 2026 09:30:00 +0000
Subject: Grüße
MIME-Version: 1.0
Content-Type: multipart/digest; boundary=d
Content-Language: de

--d

Subject: eins

a
--d

Subject: zwei

b
--d--
""".encode().replace(b"\n", b"\r\n")

REPORT = b"""\
From: <>,mailer@dest.example
From: MAILER-DAEMON@dest.example
To: ann@sender.example
Date: Mon, 02 Mar 2026 09:30:00 +0000
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="r"
Content-Transfer-Encoding: 8bit

--r

Not delivered: \xc3\xbc
--r
Content-Type: message/delivery-status

Reporting-MTA: dns; dest.example

Final-Recipient: rfc822; x@dest.example
Action: failed
--r
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: quoted-printable

Subject: =3D
--r
Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha512; boundary=s

--s
Content-Type: text/plain

signed
--s
Content-Type: application/pgp-signature; name=signature.asc

-----BEGIN PGP SIGNATURE-----
--s--
--r--
""".replace(b"From: <>,mailer@dest.example\n", b"").replace(b"\n", b"\r\n")

_DATED = b"Date: 2 Mar 2026 09:30:00 +0000\r\n"
_TYPED = _DATED + b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: "

SHORT = (
    b"From: a@b.example\r\nTo: c@d.example\r\nDate: Mon, 02 Mar 2026 09:30:00 +0000\r\n\r\nx",
    b"From: a@b.example\nDate: 2 Mar 2026 09:30:00 +0000\nSubject: LF\n\nx\n",
    b"To: a@b.example\r\n",
    b"\r\nbody alone\r\n",
    _TYPED + b"text/html; charset=utf-7\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>+APw-</p>\r\n",
    _TYPED + b'a/b; name="=?utf-8?q?=C3=BC?=.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n',
    _DATED + b"From: G:;\r\nSender: a@b.example\r\nContent-type: text/plain\r\n\r\n",
)


def _files(folder: str) -> dict[str, bytes]:
    paths = sorted((VECTORS / folder / "eml").glob("*.eml"))
    found = {f"eml/{path.name}": path.read_bytes() for path in paths}
    return {name: content for name, content in found.items() if len(content) <= LONGEST}


def _cases(name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((VECTORS / "5-dkim" / name).read_text())["cases"]
    return found


def _key_records() -> dict[str, str]:
    """The records by name; of several messages with the same name the first one's."""
    found: dict[str, str] = {}
    for case in _cases("verify.json"):
        texts = case["dns_txt"]
        assert isinstance(texts, dict)
        for name, given in texts.items():
            if isinstance(given, list) and given and case["expect"] == ["pass"]:
                found.setdefault(name, given[0])
    return found


def _values() -> list[bytes]:
    fields = [
        str(case.get("value") or str(case.get("field", "")).partition(":")[2])
        for case in _cases("signature_fields.json")
    ]
    return [field.removesuffix("\r\n").encode("utf-8", "surrogateescape") for field in fields]


_OURS = (PLAIN, PARTS, TRACED, OBSOLETE, INTERNATIONAL, REPORT, *SHORT)

SIGNED = tuple(_files("5-dkim").values())
MESSAGES = (*_OURS, *_files("2-message").values(), SIGNED[0], SIGNED[-1])
KEY_RECORDS = _key_records()
SIGNATURE_VALUES = tuple(_values())
RECORDS = tuple([str(case["txt"]).encode() for case in _cases("key_records.json")])
FIELDS = tuple(
    dict.fromkeys(
        line for content in _OURS for line in content.split(b"\r\n\r\n")[0].split(b"\r\n") if b":" in line
    )
)
