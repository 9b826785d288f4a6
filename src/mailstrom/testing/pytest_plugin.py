"""Fixtures for pytest: mail that your code sends is captured, or sent in a simulated world.

    def test_a_new_user_is_greeted(captured_mailstrom, mailstrom_outbox):
        sign_up("you@yours.example", mailer=captured_mailstrom)

        [mail] = mailstrom_outbox
        assert mail.recipients == ("you@yours.example",)
        assert mailstrom_outbox.parsed[0]["Subject"] == "Welcome"

The plugin comes with mailstrom: pytest finds it by itself. What is captured has gone through
everything that live mail goes through, up to the socket; its status is "delivered".

`simulation` is a `mailstrom.testing.simulation.Simulation`, ended after the test. Its seed is 0, or said
with a mark, `@pytest.mark.simulation(seed=7)`; with `seeds=100` the test runs with each from 0 to 99. The
report of a test that fails names the seed, and what happened last.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, cast

import pytest

from ..config import Config
from ..facade import Mailstrom
from .capture import CapturedMail

if TYPE_CHECKING:
    from .simulation import Simulation

LOG_LINES = 30  # of a simulation, in the report

_MARK = (
    "simulation(seed=0, seeds=None): the seed of the `simulation` fixture, or several, as a number or a "
    "list: the test runs with each"
)
_told = pytest.StashKey["Simulation"]()


@pytest.fixture
def captured_mailstrom() -> Iterator[Mailstrom]:
    """A started `Mailstrom` that captures instead of sending; closed after the test."""
    with Mailstrom(Config(mode="capture", helo_name="localhost.localdomain")) as mailstrom:
        yield mailstrom.start()


@pytest.fixture
def mailstrom_outbox(captured_mailstrom: Mailstrom) -> CapturedMail:
    """What `captured_mailstrom` was given to send, once it has arrived; see `CapturedMail`."""
    return CapturedMail(captured_mailstrom)


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """A simulated world with a seed; ended after the test. See `mailstrom.testing.simulation`."""
    from .simulation import Simulation

    with Simulation(seed=_seed(request)) as simulation:
        request.node.stash[_told] = simulation
        yield simulation


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line("markers", _MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed, with the seed in its id."""
    _, seeds = _marked(metafunc.definition)
    if seeds and "simulation" in metafunc.fixturenames:
        metafunc.parametrize("simulation", seeds, indirect=True, ids=lambda seed: f"seed{seed}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a failure which world it was, and what happened there."""
    report = yield
    simulation = item.stash.get(_told, None)
    if report.failed and simulation is not None:
        report.sections.append((f"simulation, seed {simulation.seed}", _told_of(simulation, item.nodeid)))
    return report


def _seed(request: pytest.FixtureRequest) -> int:
    seed: int = getattr(request, "param", _marked(request.node)[0])
    return seed


def _marked(node: pytest.Item) -> tuple[int, tuple[int, ...]]:
    """The seed that the mark says, and the seeds; what it must not say fails the test."""
    mark = node.get_closest_marker("simulation")
    said = {} if mark is None else mark.kwargs
    seed, seeds = said.get("seed", 0), _several(said.get("seeds", ()))
    is_understood = set(said) <= {"seed"} or (set(said) == {"seeds"} and bool(seeds))
    if mark is not None and (mark.args or not is_understood or not _are_whole((seed, *seeds))):
        pytest.fail(
            "mark simulation: expected seed=7 or seeds=100, which are 0 to 99, or seeds=[1, 7], "
            f"got {mark.args or said} at {node.nodeid}",
            pytrace=False,
        )
    return seed, seeds


def _several(seeds: object) -> tuple[int, ...]:
    if _are_whole((seeds,)):
        return tuple(range(cast("int", seeds)))
    return tuple(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, (str, bytes)) else ()


def _are_whole(numbers: Iterable[object]) -> bool:
    return all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)


def _told_of(simulation: Simulation, nodeid: str) -> str:
    last = simulation.log[-LOG_LINES:] or ["nothing happened to any email"]
    replay = f'the same again: pytest "{nodeid}"'
    alone = f"or by itself: Simulation(seed={simulation.seed})"
    return "\n".join([f"{replay}, {alone}", *last])
