"""SQLAlchemy's sessions that give no connection as they are, and those that do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from mailstrom.errors import ConfigError
from mailstrom.testing.storage_kit import an_entry, id_of
from tests.interop.outbox_desk import Desk, on_sqlite

BEGIN_FIRST = r"call its begin\(\) first"
NO_ENGINE = r"session\.connection\(bind_arguments="


class Base(DeclarativeBase):
    """The application's models."""


class Order(Base):
    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with on_sqlite(tmp_path / "app.db") as desk:
        yield desk


@pytest.fixture
def engine(desk: Desk) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{desk.place}")
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda engine: Session(engine, autobegin=False), BEGIN_FIRST),
        (lambda engine: scoped_session(sessionmaker(engine, autobegin=False)), BEGIN_FIRST),
        (lambda engine: Session(), NO_ENGINE),
        (lambda engine: Session(binds={Order: engine}), NO_ENGINE),
        (lambda engine: scoped_session(sessionmaker(binds={Order: engine})), NO_ENGINE),
    ],
)
def test_what_to_do_is_said_where_a_session_gives_no_connection(
    desk: Desk, engine: Engine, make: Callable[[Engine], Session], remedy: str
) -> None:
    with closing(make(engine)) as session:
        binding = desk.storage.bind(session)

        with pytest.raises(ConfigError, match=remedy):
            binding.store([an_entry()])


@pytest.mark.parametrize("is_scoped", [False, True])
def test_the_same_with_asyncio(desk: Desk, is_scoped: bool) -> None:
    async def story() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{desk.place}")
        make = async_sessionmaker(engine, autobegin=False)
        session = async_scoped_session(make, asyncio.current_task) if is_scoped else make()
        with pytest.raises(ConfigError, match=BEGIN_FIRST):
            await desk.storage.bind_async(session).store([an_entry()])
        await session.close()
        async with AsyncSession() as unbound:
            with pytest.raises(ConfigError, match=NO_ENGINE):
                await desk.storage.bind_async(unbound).store([an_entry()])
        await engine.dispose()

    asyncio.run(story())


def test_what_is_said_does(desk: Desk, engine: Engine) -> None:
    with Session(engine, autobegin=False) as session, session.begin():
        desk.storage.bind(session).store([an_entry("begun")])
    with Session(binds={Order: engine}) as session, session.begin():
        connection = session.connection(bind_arguments={"mapper": Order})
        desk.storage.bind(connection).store([an_entry("of a model")])

    assert desk.sent() == [id_of("begun"), id_of("of a model")]


def test_with_a_begin_before_begin_nested_the_rollback_counts_in_sqlite(desk: Desk, engine: Engine) -> None:
    """As docs/outbox.md says: else SQLite commits when that savepoint is released."""
    with Session(engine) as session:
        session.execute(text("BEGIN"))
        with session.begin_nested():
            desk.storage.bind(session).store([an_entry("one")])
        session.rollback()

    assert desk.sent() == []
