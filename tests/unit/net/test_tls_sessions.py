"""What is kept of TLS sessions, for whom, and for how long; both ends of TLS in memory."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache

import pytest
import trustme

from mailstrom.abc import ResumptionError
from mailstrom.net.tls_sessions import AGE_LIMIT_SECS, TlsSessions, lifetime_secs, resuming

MX = "mx.dest.example"
AT = ("192.0.2.25", 25)
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.secs = 0.0

    def __call__(self) -> float:
        return self.secs


def a_server(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Has ticket keys of its own: what another one gave out says nothing to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    authority().issue_cert(MX, "mx2.dest.example").configure_cert(context)
    return context


def a_client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


class Client:
    """A verifying context with sessions of its own, and a watch they age by."""

    def __init__(self, **settings: int) -> None:
        self.watch = Watch()
        self.sessions = TlsSessions(self.watch, **settings)
        self.context = a_client()
        self.sessions.serve(self.context)

    def resumes(self, server: ssl.SSLContext, at: tuple[str, int] = AT, name: str = MX) -> bool:
        """Whether a connection with this server resumed a session."""
        return bool(self.connected(server, at, name).session_reused)

    def connected(self, server: ssl.SSLContext, at: tuple[str, int] = AT, name: str = MX) -> ssl.SSLObject:
        """Our end of a connection with this server."""
        with resuming(self.context, name, at):
            return Connection(self.context, server, name).shake_hands()


class Connection:
    """Both ends of TLS; our handshake has begun, and waits for the server."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, name: str = MX) -> None:
        self._up, self._down, self._up_there, self._down_there = (ssl.MemoryBIO() for _ in range(4))
        self.ours = client.wrap_bio(self._down_there, self._up, server_hostname=name)
        self._theirs = server.wrap_bio(self._up_there, self._down, server_side=True)
        with pytest.raises(ssl.SSLWantReadError):
            self.ours.do_handshake()

    def shake_hands(self) -> ssl.SSLObject:
        """Our end after the handshake, after what the server said, and its farewell."""
        steps: list[Callable[[], object]] = [self._theirs.do_handshake, self.ours.do_handshake]
        while steps:
            self._travel()
            try:
                steps[0]()
            except ssl.SSLWantReadError:
                steps.reverse()
            else:
                steps.pop(0)
        self._theirs.write(b"220 mx\r\n")
        with suppress(ssl.SSLWantReadError):  # it waits for our farewell
            self._theirs.unwrap()
        self._travel()
        assert self.ours.read(1024) == b"220 mx\r\n"
        return self.ours

    def _travel(self) -> None:
        self._up_there.write(self._up.read())
        self._down_there.write(self._down.read())


@each_version
def test_the_second_handshake_with_a_server_resumes_the_session_of_the_first(version: ssl.TLSVersion) -> None:
    """RFC 8446 section 2.2, RFC 5077."""
    client, server = Client(), a_server(version)

    assert [client.resumes(server) for _ in range(3)] == [False, True, True]


def test_a_session_is_resumed_by_its_id_where_the_server_gives_no_tickets() -> None:
    """RFC 5246 section 7.3."""
    client, server = Client(), a_server(ssl.TLSVersion.TLSv1_2)
    server.options |= ssl.OP_NO_TICKET

    assert [client.resumes(server) for _ in range(2)] == [False, True]


def test_nothing_is_kept_of_a_server_that_resumes_nothing() -> None:
    """TLS 1.3 has no session ids: without a ticket there is nothing to resume by."""
    client, server = Client(), a_server()
    server.num_tickets = 0

    assert [client.resumes(server) for _ in range(2)] == [False, False]
    assert len(client.sessions) == 0


@dataclass(frozen=True, kw_only=True)
class GivenSession:
    """What is asked of a session; which lifetime a server says cannot be chosen here."""

    has_ticket: bool = True
    ticket_lifetime_hint: int = 0
    id: bytes = b""


@pytest.mark.parametrize(
    ("version", "session", "secs"),
    [
        ("TLSv1.3", GivenSession(ticket_lifetime_hint=7200), AGE_LIMIT_SECS),
        ("TLSv1.3", GivenSession(ticket_lifetime_hint=600), 600.0),
        ("TLSv1.3", GivenSession(ticket_lifetime_hint=0), 0.0),
        ("TLSv1.3", GivenSession(has_ticket=False), 0.0),
        ("TLSv1.2", GivenSession(ticket_lifetime_hint=7200), AGE_LIMIT_SECS),
        ("TLSv1.2", GivenSession(ticket_lifetime_hint=600, id=b"id"), 600.0),
        ("TLSv1.2", GivenSession(ticket_lifetime_hint=0), AGE_LIMIT_SECS),
        ("TLSv1.2", GivenSession(has_ticket=False, id=b"id"), AGE_LIMIT_SECS),
        ("TLSv1.2", GivenSession(has_ticket=False), 0.0),
    ],
)
def test_a_session_is_offered_as_long_as_the_server_says_and_an_hour_at_most(
    version: str, session: GivenSession, secs: float
) -> None:
    """RFC 8446 section 4.6.1: 0 means not at all; RFC 5077 section 3.3: 0 says nothing."""
    assert lifetime_secs(session, version) == secs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "name"),
    [(("192.0.2.26", 25), MX), (("192.0.2.25", 587), MX), (AT, "mx2.dest.example")],
    ids=["address", "port", "name"],
)
def test_a_session_is_not_resumed_at_another(at: tuple[str, int], name: str) -> None:
    """It says that the certificate was good for one name."""
    client, server = Client(), a_server()
    client.resumes(server)

    assert not client.resumes(server, at, name)
    assert client.resumes(server)


def test_contexts_share_no_session() -> None:
    """What was accepted with any certificate was not verified."""
    server, verifying, accepting = a_server(), Client(), Client()
    accepting.context.check_hostname, accepting.context.verify_mode = False, ssl.CERT_NONE

    accepting.resumes(server)

    assert not verifying.resumes(server)
    assert [accepting.resumes(server), verifying.resumes(server)] == [True, True]


def test_a_resumed_session_has_the_certificate_that_was_verified() -> None:
    client, server = Client(), a_server()

    first, second = client.connected(server), client.connected(server)

    assert (first.session_reused, second.session_reused) == (False, True)
    assert second.getpeercert() == first.getpeercert()
    assert second.getpeercert(binary_form=True) == first.getpeercert(binary_form=True) != b""


@each_version
def test_a_full_handshake_is_due_an_hour_after_the_last_however_often_it_was_resumed(
    version: ssl.TLSVersion,
) -> None:
    """RFC 8446 section 4.6.1: only a full one proves that the server still has its certificate's key."""
    client, server = Client(), a_server(version)
    ages = [0.0, 1.0, AGE_LIMIT_SECS / 2, AGE_LIMIT_SECS - 1, AGE_LIMIT_SECS, AGE_LIMIT_SECS + 1]

    resumed = []
    for client.watch.secs in ages:
        resumed.append(client.resumes(server))

    assert resumed == [False, True, True, True, False, True]


def test_a_server_that_knows_the_session_no_more_gets_a_full_handshake_which_brings_another() -> None:
    """It was begun anew, or its ticket keys were exchanged."""
    client, before, after = Client(), a_server(), a_server()

    client.resumes(before)

    assert [client.resumes(after), client.resumes(after)] == [False, True]


def test_a_certificate_is_verified_where_the_server_does_not_resume() -> None:
    client, server = Client(), a_server()
    impostor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(MX).configure_cert(impostor)
    client.resumes(server)

    with pytest.raises(ssl.SSLCertVerificationError):
        client.resumes(impostor)

    assert not client.resumes(server)


def test_a_server_that_fails_over_a_session_is_offered_none_for_an_hour() -> None:
    """Servers that should have gone on with a full handshake: it must not fail every time."""
    client, server = Client(), a_server()
    client.resumes(server)

    with pytest.raises(ResumptionError, match="cut off"), resuming(client.context, MX, AT):
        Connection(client.context, server)
        raise ConnectionResetError("cut off")

    resumed = []
    for client.watch.secs in (1.0, 2.0, AGE_LIMIT_SECS + 1, AGE_LIMIT_SECS + 2):
        resumed.append(client.resumes(server))
    assert resumed == [False, False, False, True]


def test_a_full_handshake_that_fails_is_no_matter_of_sessions() -> None:
    client, server = Client(), a_server()

    with pytest.raises(ConnectionResetError), resuming(client.context, MX, AT):
        raise ConnectionResetError("cut off")

    assert [client.resumes(server) for _ in range(2)] == [False, True]


def test_the_session_not_used_for_longest_goes_where_there_are_too_many() -> None:
    client, server = Client(limit=2), a_server()
    first, second, third = [("192.0.2.1", 25), ("192.0.2.2", 25), ("192.0.2.3", 25)]

    client.resumes(server, first)
    client.resumes(server, second)
    client.resumes(server, first)
    client.resumes(server, third)

    assert len(client.sessions) == 2
    assert [client.resumes(server, at) for at in (first, third, second)] == [True, True, False]


def test_sessions_that_are_too_old_go_when_another_comes() -> None:
    client, server = Client(), a_server()
    for number in range(5):
        client.resumes(server, (f"192.0.2.{number}", 25))

    client.watch.secs = AGE_LIMIT_SECS
    client.resumes(server)

    assert len(client.sessions) == 1


def test_of_several_handshakes_at_once_the_first_to_end_brings_the_session() -> None:
    """Reading a session takes a quarter of the time of a handshake."""
    client, server = Client(), a_server()

    with resuming(client.context, MX, AT):
        slow = Connection(client.context, server)
    client.resumes(server)
    kept = client.sessions.find((*AT, MX))
    slow.shake_hands()

    assert kept is not None
    assert client.sessions.find((*AT, MX)) is kept


def test_a_handshake_with_nobody_known_resumes_nothing() -> None:
    """A transport that does not tell with whom it is connected."""
    client, server = Client(), a_server()

    resumed = []
    for _ in range(2):
        with resuming(client.context, MX, None):
            resumed.append(Connection(client.context, server).shake_hands().session_reused)

    assert (resumed, len(client.sessions)) == ([False, False], 0)


def test_handshakes_that_begin_together_are_each_with_its_own_server() -> None:
    """The loop begins them in the order in which they were asked for; a name is never confused."""
    client, server = Client(), a_server()
    others = ("192.0.2.26", 25)
    client.resumes(server)

    with ExitStack() as together:
        for name, at in (("mx2.dest.example", AT), (MX, others), (MX, AT)):
            together.enter_context(resuming(client.context, name, at))
        first, second = Connection(client.context, server), Connection(client.context, server)
        third = Connection(client.context, server, "mx2.dest.example")
        resumed = [each.shake_hands().session_reused for each in (third, second, first)]

    assert resumed == [False, True, False]
    assert [client.resumes(server, at) for at in (AT, others)] == [True, True]


def test_a_handshake_that_never_began_is_not_mistaken_for_the_next() -> None:
    """Its task was cancelled, or its connection was gone."""
    client, server = Client(), a_server()
    client.resumes(server)

    with resuming(client.context, MX, ("192.0.2.26", 25)):
        pass

    assert client.resumes(server)
