"""The real resolver against servers that misbehave, over real sockets."""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack

import pytest
import trustme

from mailstrom.config import ResolverSetup
from mailstrom.net.dns import DnsResolver
from mailstrom.net.dns_exchange import SocketExchange
from mailstrom.route.mx import DnsOutcome, MxAnswer
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.dns_server import DnsServer, DnsServerFaults
from tests.contract.test_resolver import HandClock
from tests.loops import run

ZONE = {"d.test": {"MX": [[10, "a.test."]]}}
BIG_ZONE = {"d.test": {"MX": [[i, f"host-with-a-long-name-{i}.test."] for i in range(1000)]}}


def asked(
    server: DnsServer,
    *,
    timeout_secs: float = 10.0,
    protocol: str = "udp",
    trust: ssl.SSLContext | None = None,
) -> MxAnswer:
    async def main() -> MxAnswer:
        setup = ResolverSetup(("127.0.0.1",), server.port, protocol, "dns.test")  # type: ignore[arg-type]
        resolver = DnsResolver(
            setup, HandClock(), timeout_secs=timeout_secs, exchange=SocketExchange(trust) if trust else None
        )
        answer = await resolver.mx("d.test")
        await resolver.close()
        return answer

    return run(main())


def test_junk_before_the_answer_is_dropped_and_the_answer_waited_for() -> None:
    """Row 42; threat S20: packets that do not parse, or answer another question or id."""
    with DnsServer(ZONE, faults=DnsServerFaults(junk_first=True)) as server:
        answer = asked(server)

    assert answer.outcome is DnsOutcome.ANSWER
    assert server.transports == ["udp"]


@pytest.mark.parametrize("zone", (ZONE, BIG_ZONE), ids=("by fault", "by size"))
def test_a_truncated_answer_is_asked_for_again_over_tcp(zone: dict[str, dict[str, object]]) -> None:
    """Row 42; row 43: a thousand MX come through."""
    with DnsServer(zone, faults=DnsServerFaults(truncate=zone is ZONE)) as server:
        answer = asked(server)

    assert answer.outcome is DnsOutcome.ANSWER
    assert len(answer.records) == len(zone["d.test"]["MX"])  # type: ignore[arg-type]
    assert server.transports == ["udp", "tcp"]


def test_a_truncated_answer_without_tcp_is_not_known_now() -> None:
    """Row 42."""
    with DnsServer(ZONE, faults=DnsServerFaults(truncate=True, no_tcp=True)) as server:
        assert asked(server, timeout_secs=0.5).outcome is DnsOutcome.FAILED


def test_a_server_that_knows_no_edns_is_asked_plainly() -> None:
    """RFC 6891 7."""
    with DnsServer(ZONE, faults=DnsServerFaults(formerr_to_edns=True)) as server:
        assert asked(server).outcome is DnsOutcome.ANSWER


def test_a_name_server_that_refuses_connections_fails_the_look_up_for_now() -> None:
    """Row 41."""
    with DnsServer(ZONE) as server:
        pass

    answer = asked(server, timeout_secs=0.5)

    assert answer.outcome is DnsOutcome.FAILED


def test_tcp_alone_works() -> None:
    with DnsServer(ZONE) as server:
        assert asked(server, protocol="tcp").outcome is DnsOutcome.ANSWER
        assert server.transports == ["tcp"]


def test_dns_over_tls_verifies_the_name_of_the_server() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dns.test").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    with DnsServer(ZONE, tls=context) as server:
        assert asked(server, protocol="tls", trust=trusting).outcome is DnsOutcome.ANSWER
        untrusting = ssl.create_default_context()
        assert asked(server, protocol="tls", trust=untrusting, timeout_secs=0.5).outcome is DnsOutcome.FAILED


def test_a_dead_first_name_server_costs_one_wait_and_not_one_in_each_look_up() -> None:
    zone = {f"d{i}.test": {"MX": [[10, "a.test."]]} for i in range(10)}
    with ExitStack() as stack:
        alive = stack.enter_context(DnsServer(zone, address="127.0.0.1"))
        resolv_order = ("127.0.0.99", "127.0.0.1")  # nobody listens at the first

        async def main() -> float:
            resolver = DnsResolver(ResolverSetup(resolv_order, alive.port), HandClock())
            began_at = time.monotonic()
            for i in range(10):
                assert (await resolver.mx(f"d{i}.test")).outcome is DnsOutcome.ANSWER
            await resolver.close()
            return time.monotonic() - began_at

        assert run(main()) < 3.0


def test_the_fake_needs_no_socket() -> None:
    async def main() -> MxAnswer:
        resolver = FakeResolver(ZONE)
        answer = await resolver.mx("d.test")
        await resolver.close()
        return answer

    assert run(main()).outcome is DnsOutcome.ANSWER
