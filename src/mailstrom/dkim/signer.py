"""Who signs, with which key, and what of a message: settings, checked once.

A signature is made in the name of a domain (d=). Receivers trust it for the author when that
domain is the one of From or stands above it (DMARC, RFC 7489 section 3.1.1). The public half
of the key is published as a TXT record at SELECTOR._domainkey.DOMAIN.

Each field that is signed is named in h= as often as it occurs. The fields that readers go by
are named once more ("oversigned", RFC 6376 section 8.15): so none of them can be added without
breaking the signature. Sender, In-Reply-To and References are not, and List- fields only where
they are present, because mailing lists add their own to mail that they pass on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import ConfigError
from . import signer_checks as check
from .canonical import relaxed_field
from .field import signature_octets, static_tags
from .signing_key import KeySource, SigningKey, loaded_key

__all__ = ["DEFAULT_HEADERS", "DkimSigner"]

# RFC 6376 5.4.1, what decides how the message is shown, and RFC 8058 4
DEFAULT_HEADERS = (
    "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Disposition",
    "Content-Description", "In-Reply-To", "References", "Auto-Submitted", "Feedback-ID", "List-Id",
    "List-Help", "List-Subscribe", "List-Post", "List-Owner", "List-Archive", "List-Unsubscribe",
    "List-Unsubscribe-Post",
)  # fmt: skip

# so that none can be added on the way
_OVERSIGNED = frozenset(
    [
        "cc", "content-transfer-encoding", "content-type", "date", "from", "message-id", "mime-version",
        "reply-to", "subject", "to",
    ]
)  # fmt: skip
_OVERSIGNED_IF_PRESENT = frozenset(["list-unsubscribe", "list-unsubscribe-post"])


class Coverage:
    """How fields are named in h=; each is itself alone, so that plans are found by it at once.

    `names`: by its name in lower case, what names a field each time it occurs, and what names it once
    more, or nothing; with the colon. `if_absent`: the same for those named where they do not occur.
    """

    __slots__ = ("if_absent", "names")

    def __init__(self, headers: Iterable[str]) -> None:
        self.names: Mapping[bytes, tuple[bytes, bytes]] = {
            name.lower().encode(): _written(name) for name in headers
        }
        self.if_absent: tuple[tuple[bytes, bytes], ...] = tuple(_named_if_absent(headers))


@dataclass(frozen=True, slots=True, init=False)
class DkimSigner:
    """Signs for one domain with one key; make it once, it may be used by any thread.

    `private_key` is RSA or Ed25519: PEM as text or bytes, the path of a PEM file, or a key object
    of the `cryptography` package; it is read now, and never shown. `canonicalization` is header/body,
    each "relaxed" or "simple". `headers` are the fields to sign where they are present; From must be
    among them, and List-Unsubscribe and List-Unsubscribe-Post are covered in any case. `identity`
    is i= ("ann@mail.example.org" or "@mail.example.org", in the domain or below it). With
    `expires_after_secs` the signature ends then (x=). Mail is signed whose From domain is `domain`
    or below it; with `every_author` all mail is. `ConfigError` for what cannot be used.
    """

    domain: str
    selector: str
    private_key: SigningKey
    canonicalization: str
    headers: tuple[str, ...]
    identity: str | None
    expires_after_secs: int | None
    every_author: bool
    header_form: str = field(init=False, repr=False, compare=False)  # the halves of canonicalization
    body_form: str = field(init=False, repr=False, compare=False)
    tags: bytes = field(init=False, repr=False, compare=False)  # what each signature begins with
    relaxed_tags: bytes = field(init=False, repr=False, compare=False)  # the same as they are hashed
    b_octets: int = field(init=False, repr=False, compare=False)  # of the value of b= and the field's end
    coverage: Coverage = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        domain: str,
        selector: str,
        private_key: KeySource,
        *,
        canonicalization: str = "relaxed/relaxed",
        headers: tuple[str, ...] = DEFAULT_HEADERS,
        identity: str | None = None,
        expires_after_secs: int | None = None,
        every_author: bool = False,
    ) -> None:
        loaded = loaded_key(private_key)
        del private_key  # a traceback may show the locals of every frame
        for name in self.__slots__:  # a traceback with locals asks for our repr, too
            object.__setattr__(self, name, None)
        if isinstance(loaded, ConfigError):
            raise loaded
        domain = check.domain(domain)
        settings = {
            "private_key": loaded,
            "domain": domain,
            "selector": check.selector(selector, domain),
            "canonicalization": check.canonicalization(canonicalization),
            "headers": check.headers(headers),
            "identity": check.identity(identity, domain),
            "expires_after_secs": check.lifetime(expires_after_secs),
            "every_author": check.flag("every_author", every_author),
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)
        self._prepare()

    def _prepare(self) -> None:
        """Makes what every message needs and no message changes."""
        header_form, _, body_form = self.canonicalization.partition("/")
        object.__setattr__(self, "header_form", header_form)
        object.__setattr__(self, "body_form", body_form)
        tags = static_tags(self)
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "relaxed_tags", relaxed_field(tags.removesuffix(b"\r\n")))
        object.__setattr__(self, "b_octets", signature_octets(self.private_key.signature_octets))
        object.__setattr__(self, "coverage", Coverage(self.headers))

    @property
    def algorithm(self) -> str:
        """What it signs by: "rsa-sha256" or "ed25519-sha256"."""
        return self.private_key.algorithm

    @property
    def dns_name(self) -> str:
        """Where the key is published: "SELECTOR._domainkey.DOMAIN"."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def dns_record(self) -> str:
        """The TXT record to publish there; longer than 255 octets it goes into several strings."""
        return self.private_key.dns_record

    def signs(self, author_domain: str) -> bool:
        """Whether mail with this From domain (in A-labels) is signed."""
        author = author_domain.lower().rstrip(".")
        return self.every_author or author == self.domain or author.endswith(f".{self.domain}")


def _written(name: str) -> tuple[bytes, bytes]:
    is_oversigned = name.lower() in _OVERSIGNED | _OVERSIGNED_IF_PRESENT
    written = f"{name}:".encode()
    return written, written if is_oversigned else b""


def _named_if_absent(headers: Iterable[str]) -> Iterator[tuple[bytes, bytes]]:
    for name in headers:
        if name.lower() in _OVERSIGNED:
            yield name.lower().encode(), f"{name}:".encode()
