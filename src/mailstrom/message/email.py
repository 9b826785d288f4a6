"""An email as its writer thinks of it; `prepare` turns it into octets.

Everything is checked when the value is made, so that an `Email` can be sent because it
exists; only who it is from and to may still be open, and a file at a path is read when it is
sent. Nothing is repaired silently. These changes are
made: CR, LF and CRLF in texts become CRLF, a text's last line is ended, and addresses are
written in their one canonical form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from .address import Addresses, Group, Mailbox, parse_mailboxes
from .answer import ReplyTo, ReplyToField
from .attachment import (
    Attachables,
    Attachment,
    AttachmentSource,
    attachment_from,
    checked_attachments,
    checked_content_id,
)
from .automatic_mail import auto_submitted_field, bulk_field, unsubscribe_fields
from .date import checked_date
from .email_checks import (
    Headers,
    check_authors,
    checked_headers,
    checked_keywords,
    checked_sender,
    checked_texts,
)
from .message_id import checked_message_id, checked_message_ids
from .prepared import DsnOptions, checked_dsn
from .text import checked_text
from .writing.body import checked_body

if TYPE_CHECKING:
    from email.headerregistry import Group as StdlibGroup

    from .address import Address

__all__ = ["Attachment", "Email"]


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Email:
    """An email: who it is from and to, and what it says. Frozen; changed by `replace`.

    Addresses are given as `"Name <user@example.org>"`, as several with commas between, as
    (name, address), as `Mailbox` or `Group`, or as a list of these. `text` and `html` are two
    forms of one message, and `calendar` (an iCalendar text, RFC 6047) is a third. `from_` may
    be left out where `Config.default_from` is set; several authors need a `sender`. `bcc`
    never reaches the wire. Message ids are given with or without `<>`. `attachments` are paths
    or `Attachment` values; `attach` and `inline` add one. `headers` are further fields: a
    mapping, or pairs where a name is repeated.

    Raises `MessageError`, whose `field` is the name of the keyword at fault.
    """

    from_: tuple[Mailbox | Group, ...]
    sender: Mailbox | Group | None
    reply_to: ReplyTo  # a tuple; called with a message, the email becomes an answer to it
    to: tuple[Mailbox | Group, ...]
    cc: tuple[Mailbox | Group, ...]
    bcc: tuple[Mailbox | Group, ...]
    subject: str | None
    comments: tuple[str, ...]
    keywords: tuple[str, ...]
    date: datetime | None
    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    text: str | None
    html: str | None
    calendar: str | None
    attachments: tuple[Attachment, ...]
    headers: tuple[tuple[str, str], ...]
    dsn: DsnOptions | None

    def __init__(
        self,
        *,
        from_: Addresses | None = None,
        to: Addresses | None = None,
        cc: Addresses | None = None,
        bcc: Addresses | None = None,
        subject: str | None = None,
        text: str | None = None,
        html: str | None = None,
        calendar: str | None = None,
        reply_to: Addresses | None = None,
        sender: Address | Group | StdlibGroup | None = None,
        comments: str | Iterable[str] | None = None,
        keywords: str | Iterable[str] | None = None,
        date: datetime | None = None,
        message_id: str | None = None,
        in_reply_to: str | Iterable[str] | None = None,
        references: str | Iterable[str] | None = None,
        headers: Headers | None = None,
        attachments: Attachables | None = None,
        dsn: DsnOptions | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "from_", parse_mailboxes(from_, field="from_"))
        put(self, "sender", None if sender is None else checked_sender(sender))
        put(self, "reply_to", () if reply_to is None else parse_mailboxes(reply_to, field="reply_to"))
        put(self, "to", parse_mailboxes(to, field="to"))
        put(self, "cc", () if cc is None else parse_mailboxes(cc, field="cc"))
        put(self, "bcc", () if bcc is None else parse_mailboxes(bcc, field="bcc"))
        put(self, "subject", None if subject is None else checked_text(subject, field="subject"))
        put(self, "comments", () if comments is None else checked_texts(comments, field="comments"))
        put(self, "keywords", () if keywords is None else checked_keywords(keywords))
        put(self, "date", None if date is None else checked_date(date, field="date"))
        put(self, "message_id", None if message_id is None else _checked_id(message_id))
        put(self, "in_reply_to", () if in_reply_to is None else _checked_ids(in_reply_to, "in_reply_to"))
        put(self, "references", () if references is None else _checked_ids(references, "references"))
        put(self, "text", None if text is None else checked_body(text, field="text"))
        put(self, "html", None if html is None else checked_body(html, field="html"))
        put(self, "calendar", None if calendar is None else checked_body(calendar, field="calendar"))
        put(self, "attachments", () if attachments is None else checked_attachments(attachments))
        put(self, "headers", () if headers is None else checked_headers(headers))
        put(self, "dsn", None if dsn is None else checked_dsn(dsn))
        check_authors(self.from_, self.sender)

    @classmethod
    def parse(cls, content: bytes, *, obsolete: bool = False, smtputf8: bool = False) -> Email:
        """The email that these octets are, read by RFC 5322 section 3 and MIME to the letter.

        `obsolete` takes the syntax of section 4 too, which may be read and not written;
        `smtputf8` takes UTF-8 in header fields (RFC 6532). `MessageError` says which field
        cannot be read, where, and what was expected there.
        """
        from .reading.parse import parsed_email  # here: who only writes does not load it

        return parsed_email(content, obsolete=obsolete, smtputf8=smtputf8)

    def replace(self, **changes: Any) -> Self:
        """The same email with these keywords changed."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self)(**(kept | changes))

    def attach(
        self, source: AttachmentSource, *, filename: str | None = None, content_type: str | None = None
    ) -> Self:
        """The same email with one more file: a path, octets (with a `filename`) or a binary file.

        A file at a path is read when the email is sent; a binary file at once.
        """
        made = attachment_from(source, filename=filename, content_type=content_type)
        return self.replace(attachments=(*self.attachments, made))

    def inline(
        self,
        source: AttachmentSource,
        content_id: str,
        *,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> Self:
        """The same email with an image that its HTML shows as `<img src="cid:...">`.

        `content_id` looks like a message id, "logo@mail.example.org"; each is used once.
        """
        made = attachment_from(
            source,
            filename=filename,
            content_type=content_type,
            content_id=checked_content_id(content_id),
            disposition="inline",
        )
        return self.replace(attachments=(*self.attachments, made))

    def list_unsubscribe(self, url: str, mailto: str | None = None) -> Self:
        """The same email with List-Unsubscribe and List-Unsubscribe-Post (RFC 2369, RFC 8058).

        A POST to the https `url` unsubscribes at once; `mailto` is an address that does it
        for whoever writes to it.
        """
        return self._with_headers(*unsubscribe_fields(url, mailto))

    def bulk(self) -> Self:
        """The same email with Precedence: bulk, so that absent people's programs do not answer."""
        return self._with_headers(bulk_field())

    def auto_submitted(self, value: str = "auto-generated") -> Self:
        """The same email with Auto-Submitted (RFC 3834): no program should answer it."""
        return self._with_headers(auto_submitted_field(value))

    def _with_headers(self, *added: tuple[str, str]) -> Self:
        names = {name.lower() for name, _ in added}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        return self.replace(headers=[*kept, *added])


# over the slot that the dataclass made: see `answer`
type.__setattr__(Email, "reply_to", ReplyToField(vars(Email)["reply_to"]))


def _checked_id(message_id: str) -> str:
    return checked_message_id(message_id, field="message_id")


def _checked_ids(given: str | Iterable[str], field: str) -> tuple[str, ...]:
    return checked_message_ids(given, field=field)
