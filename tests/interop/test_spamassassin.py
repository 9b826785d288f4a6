"""SpamAssassin finds nothing to say about the form of ordinary mail.

Looked for are its rules about what a composer decides: which fields there are and how they are
written, how texts and names are encoded, how parts are put together and labelled. Left out are
rules about the way the mail took (Received, HELO, DNS, signatures), about words, links and the
design of HTML, and about whom the mail is from and to: they judge the sender.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage
from tests.interop.ordinary_mails import ordinary_mails
from tests.interop.spamassassin import Findings, as_delivered, findings, skip_unless_it_can_run

FIELDS = """
CORRUPT_FROM_LINE_IN_HDRS FAKE_REPLY_C HAS_X_NO_RELAY HDRS_MISSP HDR_ORDER_FTSDMCXX_001C
HDR_ORDER_FTSDMCXX_BAT HDR_ORDER_FTSDMCXX_DIRECT HDR_ORDER_FTSDMCXX_NORDNS HEADER_COUNT_CTYPE
HEADER_COUNT_SUBJECT HEADER_SPAM HEAD_LONG JH_SPAMMY_HEADERS LIST_PARTIAL_SHORT_MSG LIST_PRTL_SAME_USER
MISSING_DATE MISSING_FROM MISSING_HB_SEP MISSING_HEADERS MISSING_MID MISSING_MIMEOLE MISSING_SUBJECT
NO_HEADERS_MESSAGE PERCENT_RANDOM PREVENT_NONDELIVERY RAND_HEADER_LIST_SPOOF RAND_HEADER_MANY
RAND_MKTG_HEADER REPLYTO_WITHOUT_TO_CC T_HDRS_LCASE T_MANY_HDRS_LCASE UNCLOSED_BRACKET
UNRESOLVED_TEMPLATE X_IP X_MESSAGE_INFO X_PRIORITY_CC
"""

DATES = """
DATE_IN_FUTURE_03_06 DATE_IN_FUTURE_06_12 DATE_IN_FUTURE_12_24 DATE_IN_FUTURE_24_48 DATE_IN_FUTURE_48_96
DATE_IN_FUTURE_Q_PLUS DATE_IN_PAST_03_06 DATE_IN_PAST_06_12 DATE_IN_PAST_12_24 DATE_IN_PAST_24_48
DATE_IN_PAST_96_XX DATE_SPAMWARE_Y2K INVALID_DATE INVALID_DATE_TZ_ABSURD INVALID_TZ_CST INVALID_TZ_EST
KB_DATE_CONTAINS_TAB L_SPAM_TOOL_13 RATWARE_ZERO_TZ T_DATE_IN_FUTURE_96_Q
"""

ADDRESSES = """
FROMSPACE FROM_ADDR_WS FROM_BLANK_NAME FROM_EXCESS_BASE64 FROM_ILLEGAL_CHARS FROM_MISSPACED
FROM_MISSP_EH_MATCH FROM_MISSP_MSFT FROM_MISSP_PHISH FROM_MISSP_REPLYTO FROM_MISSP_TO_UNDISC
FROM_MISSP_USER FROM_MISSP_XPRIO FROM_NO_USER FROM_UNBAL2 FROM_WSP_TRAIL RATWARE_OUTLOOK_NONAME
TO_MALFORMED TO_NO_BRKTS_FROM_MSSP TO_NO_BRKTS_HTML_IMG TO_NO_BRKTS_HTML_ONLY TO_NO_BRKTS_MSFT
TO_NO_BRKTS_NORDNS_HTML TO_NO_BRKTS_PCNT T_PDS_FROM_2_EMAILS
"""

ENCODED_WORDS = """
BAD_ENC_HEADER HEAD_ILLEGAL_CHARS SUBJECT_NEEDS_ENCODING SUBJ_ILLEGAL_CHARS TVD_SPACE_ENCODED
"""

MESSAGE_IDS = """
INVALID_MSGID KB_RATWARE_MSGID MID_DEGREES MSGID_DOLLARS_RANDOM MSGID_DOLLARS_URI_IMG
MSGID_FROM_MTA_HEADER MSGID_HDR_MALF MSGID_MULTIPLE_AT MSGID_NOFQDN1 MSGID_OUTLOOK_INVALID MSGID_RANDY
MSGID_SHORT MSGID_SPAM_CAPS MSGID_SPAM_LETTERS MSOE_MID_WRONG_CASE RATWARE_MS_HASH RATWARE_NAME_ID
TT_MSGID_TRUNC TVD_RATWARE_MSGID_02
"""

BODIES = """
BASE64_LENGTH_78_79 BASE64_LENGTH_79_INF CTE_8BIT_MISMATCH EMPTY_MESSAGE HK_CTE_RAW MALF_HTML_B64
MIME_BASE64_TEXT MIME_QP_LONG_LINE NULL_IN_BODY PP_MIME_FAKE_ASCII_TEXT PP_TOO_MUCH_UNICODE02
PP_TOO_MUCH_UNICODE05 SCC_BOGUS_CTE_1 T_CTE_BAS64
"""

PARTS = """
BOGUS_MIME_VERSION CONTENT_AFTER_HTML CONTENT_AFTER_HTML_WEAK CTYPE_001C_B CTYPE_8SPACE_GIF
DSN_NO_MIMEVERSION FRAGMENTED_MESSAGE FSL_CTYPE_WIN1251 HTML_MIME_NO_HTML_TAG HTML_MISSING_CTYPE
KB_RATWARE_BOUNDARY MIMEPART_LIMIT_EXCEEDED MIME_BAD_ISO_CHARSET MIME_BOUND_DD_DIGITS
MIME_BOUND_DIGITS_15 MIME_BOUND_EQ_REL MIME_BOUND_MANY_HEX MIME_HEADER_CTYPE_ONLY MIME_HTML_MOSTLY
MIME_HTML_ONLY MIME_HTML_ONLY_MULTI MIME_NO_TEXT MISSING_MIME_HB_SEP MPART_ALT_DIFF
MPART_ALT_DIFF_COUNT MULTIPART_ALT_NON_TEXT NONEXISTENT_CHARSET OBFU_TEXT_ATTACH PART_CID_STOCK
PART_CID_STOCK_LESS SCC_CTMPP STOCK_IMG_CTYPE STOX_REPLY_TYPE TBIRD_SUSP_MIME_BDRY TVD_FINGER_02
TVD_RATWARE_CB TVD_RATWARE_CB_2 T_CDISP_SZ_MANY T_CTYPE_NULL T_DOC_ATTACH_NO_EXT T_MIME_MALF
T_OBFU_DOC_ATTACH T_OBFU_GIF_ATTACH T_OBFU_HTML_ATTACH T_OBFU_JPG_ATTACH T_OBFU_PDF_ATTACH
T_TVD_FW_GRAPHIC_ID2 T_TVD_MIME_EPI T_TVD_MIME_NO_HEADERS
"""

# the hand of a program that sends spam, or of one that pretends to be another
FINGERPRINTS = """
FORGED_IMS_HTML FORGED_IMS_TAGS FORGED_MUA_EUDORA FORGED_MUA_IMS FORGED_MUA_MOZILLA FORGED_MUA_OIMO
FORGED_MUA_OUTLOOK FORGED_MUA_THEBAT_BOUN FORGED_MUA_THEBAT_CS FORGED_OUTLOOK_HTML FORGED_OUTLOOK_TAGS
FORGED_QUALCOMM_TAGS FORGED_THEBAT_HTML KB_RATWARE_OUTLOOK_08 KB_RATWARE_OUTLOOK_12
KB_RATWARE_OUTLOOK_16 KB_RATWARE_OUTLOOK_MID RATWARE_EFROM RATWARE_EGROUPS RATWARE_HASH_DASH
RATWARE_MOZ_MALFORMED RATWARE_MPOP_WEBMAIL RATWARE_NO_RDNS RATWARE_OE_MALFORMED
"""

LOOKED_FOR = frozenset(
    f"{FIELDS}{DATES}{ADDRESSES}{ENCODED_WORDS}{MESSAGE_IDS}{BODIES}{PARTS}{FINGERPRINTS}".split()
)

RECEIVED_AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

_FIELDS = {
    "From": "Ann Baker <ann@sender.example>",
    "To": "Bob Carter <bob@dest.example>",
    "Subject": "The chairs in the hall",
    "Date": "Mon, 02 Mar 2026 08:00:00 +0000",
    "Message-ID": "<20260302080000.1f9c7a52@sender.example>",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=utf-8",
}
_TEXT = "Dear Bob,\n\nthe chairs in the hall are ready, and you can fetch them on Monday.\n\nAnn\n"
_HTML = "<html><body><p>The chairs in the hall are ready: come and fetch them.</p></body></html>\n"
_BASE64 = base64.b64encode(_TEXT.encode() * 4).decode()


def _faulty(body: str = _TEXT, *, without: tuple[str, ...] = (), **fields: str) -> bytes:
    """A message that is ordinary but for these faults."""
    given = _FIELDS | {name.replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name}: {value}\n" for name, value in given.items() if name not in without)
    return f"{head}\n{body}".encode("latin-1")


def _two_parts(subtype: str, first: str, second: str) -> bytes:
    parts = "".join(f"--=_1\n{part}\n" for part in (first, second))
    return _faulty(f"{parts}--=_1--\n", Content_Type=f'multipart/{subtype}; boundary="=_1"')


FAULTS: dict[str, bytes] = {
    "MISSING_DATE": _faulty(without=("Date",)),
    "MISSING_FROM": _faulty(without=("From",)),
    "MISSING_HEADERS": _faulty(without=("To",)),
    "MISSING_MID": _faulty(without=("Message-ID",)),
    "MISSING_SUBJECT": _faulty(without=("Subject",)),
    "HEADER_COUNT_SUBJECT": _faulty(subject="The chairs", Subject="in the hall"),
    "INVALID_DATE": _faulty(Date="2026-03-02 08:00:00"),
    "INVALID_DATE_TZ_ABSURD": _faulty(Date="Mon, 02 Mar 2026 08:00:00 +1785"),
    "DATE_IN_PAST_03_06": _faulty(Date="Mon, 02 Mar 2026 08:00:00 +0500"),
    "HEAD_ILLEGAL_CHARS": _faulty(From="H\xe9l\xe8ne L\xe9f\xe8vre \xc9l\xe9onore <ann@sender.example>"),
    "FROM_EXCESS_BASE64": _faulty(From="=?utf-8?B?QW5uIEJha2Vy?= <ann@sender.example>"),
    "FROM_UNBAL2": _faulty(From="Ann Baker ann@sender.example>"),
    "TO_MALFORMED": _faulty(To="Bob Carter"),
    "SUBJ_ILLEGAL_CHARS": _faulty(Subject="Les \xe9t\xe9s \xe0 No\xebl \xe9taient d\xe9j\xe0 pass\xe9s"),
    "INVALID_MSGID": _faulty(Message_ID="<20260302080000 1f9c7a52>"),
    "MSGID_SHORT": _faulty(Message_ID="<1@sender.example>"),
    "MIME_BASE64_TEXT": _faulty(
        _BASE64, Content_Type="text/plain; charset=us-ascii", Content_Transfer_Encoding="base64"
    ),
    "BASE64_LENGTH_79_INF": _faulty(_BASE64, Content_Transfer_Encoding="base64"),
    "MIME_QP_LONG_LINE": _faulty("ready " * 20 + "=\n", Content_Transfer_Encoding="quoted-printable"),
    "CTE_8BIT_MISMATCH": _faulty(
        "Les \xe9t\xe9s \xe0 No\xebl\n", Content_Type="text/plain; charset=us-ascii"
    ),
    "EMPTY_MESSAGE": _faulty(""),
    "MIME_HEADER_CTYPE_ONLY": _faulty(_HTML, without=("MIME-Version",), Content_Type="text/html"),
    "MIME_HTML_ONLY": _faulty(_HTML, Content_Type="text/html; charset=utf-8"),
    "MPART_ALT_DIFF": _two_parts(
        "alternative",
        f"Content-Type: text/plain; charset=utf-8\n\n{_TEXT}",
        "Content-Type: text/html; charset=utf-8\n\n<html><body><p>"
        + " ".join(f"Winter{n} comes over mountains{n}" for n in range(40))
        + "</p></body></html>\n",
    ),
    "MISSING_MIME_HB_SEP": _two_parts(
        "mixed",
        f"Content-Type: text/plain; charset=utf-8\n{_TEXT}",
        f"Content-Type: text/html; charset=utf-8\n{_HTML}",
    ),
    "MIME_BOUND_DD_DIGITS": _faulty(
        f"----4711\nContent-Type: text/plain\n\n{_TEXT}\n----4711--\n",
        Content_Type='multipart/mixed; boundary="--4711"',
    ),
    "T_OBFU_PDF_ATTACH": _two_parts(
        "mixed",
        f"Content-Type: text/plain; charset=utf-8\n\n{_TEXT}",
        'Content-Type: application/octet-stream; name="hall.pdf"\n'
        "Content-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n",
    ),
}

WITHOUT_FAULT = "no rule"


@pytest.fixture(scope="module")
def judged() -> Findings:
    """What was found in the ordinary mails and in the faulty ones, all by one run."""
    skip_unless_it_can_run()
    faulty = {
        rule: as_delivered(
            content, sender="ann@sender.example", recipient="bob@dest.example", date=RECEIVED_AT
        )
        for rule, content in {**FAULTS, WITHOUT_FAULT: _faulty()}.items()
    }
    return findings(dict(_ordinary()) | faulty, LOOKED_FOR)


def _ordinary() -> Iterator[tuple[str, bytes]]:
    """The ordinary mails, as `send_email` stores them and as they are delivered."""
    storage = MemoryStorage()
    with Mailstrom(Config(helo_name="mail.sender.example"), storage) as m:
        for name, email in ordinary_mails():
            prepared, _ = storage.retrieve(m.send_email(email))
            assert email.date is not None
            yield (
                name,
                as_delivered(
                    prepared.content,
                    sender=prepared.reverse_path,
                    recipient=prepared.recipients[0],
                    date=email.date,
                ),
            )


def test_no_rule_of_form_fires_on_200_ordinary_mails(judged: Findings) -> None:
    fired = {name: judged.fired[name] & LOOKED_FOR for name, _ in ordinary_mails()}

    assert len(fired) == 200
    assert {name: sorted(rules) for name, rules in fired.items() if rules} == {}


def test_each_rule_looked_for_is_one_that_spamassassin_runs(judged: Findings) -> None:
    """A rule that was renamed or switched off would be looked for in vain."""
    assert sorted(LOOKED_FOR - judged.rules) == []


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_of_form_is_found(judged: Findings, rule: str) -> None:
    assert rule in LOOKED_FOR
    assert rule in judged.fired[rule]


def test_a_message_without_faults_sets_off_no_rule_of_form(judged: Findings) -> None:
    """So that it is the fault which is found, and not the message around it."""
    assert sorted(judged.fired[WITHOUT_FAULT] & LOOKED_FOR) == []
