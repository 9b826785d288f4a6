"""`mailstrom plan`: what it tells of a plan, and how it ends."""

from __future__ import annotations

import io
import json

import pytest

from mailstrom import Cause
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.cli.main import run_command_line
from mailstrom.cli.page import plain_text
from mailstrom.cli.plan import exit_code_for, plan_page
from mailstrom.cli.terminal import Streams
from mailstrom.plan import LeftOut, Plan, PlannedHop, PlannedLimit, PlannedRoute, TlsDemand
from mailstrom.route.mx import RouteFailure, deferred, failed

BUSY = deferred("4.4.3", "MX look-up of dest.example failed")
GONE = failed("5.1.2", "there is no domain dest.example", Cause.NO_SUCH_DOMAIN)


def a_plan(*failures: RouteFailure | None, mode: str = "live", redirect_to: str | None = None) -> Plan:
    routes = (PlannedRoute(route_key="dest.example", recipients=(), failure=each) for each in failures)
    return Plan(mode=mode, redirect_to=redirect_to, routes=tuple(routes))


def ended(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = Streams(stdin=io.BytesIO(), stdout=out, stderr=err)
    code = run_command_line(("plan", "--relay", "smtp://127.0.0.1", *arguments), streams)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (a_plan(None, None), ExitCode.OK),
        (a_plan(None, BUSY), ExitCode.NOT_YET),
        (a_plan(GONE, BUSY, None), ExitCode.UNAVAILABLE),
    ],
)
def test_the_exit_code_tells_the_worst_that_will_not_change(plan: Plan, code: ExitCode) -> None:
    assert exit_code_for(plan) is code


def test_a_route_is_a_paragraph_with_its_hosts_in_order_and_what_is_left_out() -> None:
    tls = TlsDemand(mode="opportunistic", setting="Config.require_tls=False")
    hops = (
        PlannedHop(host="mx1.test", preference=5, addresses=("192.0.2.1", "192.0.2.2"), port=25, tls=tls),
        PlannedHop(host="mx2.test", preference=10, addresses=("192.0.2.3",), port=25, tls=tls),
    )
    left_out = (LeftOut(host="mx1.test", address="10.0.0.1", reason="why"), LeftOut(host=".", reason="so"))
    route = PlannedRoute(
        route_key="dest.example",
        recipients=("a@dest.example", "b@dest.example"),
        lane="mx1.test,mx2.test",
        hops=hops,
        left_out=left_out,
        limits=(
            PlannedLimit(setting="max_sessions", value=10, counts_with="google"),
            PlannedLimit(setting="max_messages_per_session", value=50),
        ),
    )

    told = plain_text(plan_page(Plan(mode="live", routes=(route,))))

    assert told.splitlines() == [
        "dest.example",
        "  for a@dest.example, b@dest.example",
        "    5  mx1.test port 25, TLS opportunistic (Config.require_tls=False)",
        "       192.0.2.1, 192.0.2.2",
        "   10  mx2.test port 25, TLS opportunistic (Config.require_tls=False)",
        "       192.0.2.3",
        "  left out: mx1.test [10.0.0.1]: why",
        "  left out: .: so",
        "  lane mx1.test,mx2.test",
        "  limits: max_sessions 10 for google, max_messages_per_session 50",
    ]


def test_a_failure_is_told_as_its_recipients_would_be() -> None:
    told = plain_text(plan_page(a_plan(GONE)))

    assert told.splitlines()[-1] == "  failed: there is no domain dest.example (5.1.2)"


def test_settings_that_keep_mail_from_its_recipients_are_told_first() -> None:
    told = plain_text(plan_page(a_plan(None, mode="capture", redirect_to="staging@test.example")))

    assert told.splitlines()[:3] == [
        "Nothing is sent: Config.mode is 'capture'.",
        "All of it goes to staging@test.example instead (Config.redirect_to).",
        "",
    ]


def test_the_command_plans_by_its_options() -> None:
    code, told, complained = ended("a@one.example", "b@two.example")

    assert (code, complained) == (ExitCode.OK, "")
    assert told.splitlines() == [
        "relay:127.0.0.1",
        "  for a@one.example, b@two.example",
        "    0  127.0.0.1 port 25, TLS none (RelayConfig.tls='none')",
        "       127.0.0.1",
        "  lane relay:127.0.0.1",
    ]


def test_the_command_tells_the_same_to_programs() -> None:
    code, told, _ = ended("--json", "a@one.example")

    [route] = json.loads(told)["routes"]
    assert code == ExitCode.OK
    assert (route["route_key"], route["hops"][0]["tls"]["mode"]) == ("relay:127.0.0.1", "none")
