"""Whether this process is one of several that a web server made of one program."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mailstrom.engine.prefork import prefork_server

GUNICORN = {"gunicorn.arbiter": object()}


@pytest.mark.parametrize(
    ("arguments", "environ", "server"),
    [
        ("gunicorn app:app", {}, "gunicorn"),
        ("gunicorn -w 4 app:app", {}, "gunicorn"),
        ("gunicorn -w4 app:app", {}, "gunicorn"),
        ("gunicorn -w 1 app:app", {}, None),
        ("gunicorn --workers=1 app:app", {}, None),
        ("gunicorn --workers 1", {}, None),
        ("gunicorn --workers 12 app:app", {}, "gunicorn"),
        ("gunicorn app:app", {"WEB_CONCURRENCY": "1"}, None),
        ("gunicorn app:app", {"WEB_CONCURRENCY": "3"}, "gunicorn"),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "--bind :80 -w 1"}, None),
        ("gunicorn -w 2 app:app", {"GUNICORN_CMD_ARGS": "-w 1", "WEB_CONCURRENCY": "1"}, "gunicorn"),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "-w 2", "WEB_CONCURRENCY": "1"}, "gunicorn"),
    ],
)
def test_gunicorn_counts_unless_it_has_one_worker(
    arguments: str, environ: dict[str, str], server: str | None
) -> None:
    assert prefork_server(GUNICORN, environ, arguments.split()) == server


@pytest.mark.parametrize(("numproc", "server"), [(1, None), (2, "uWSGI")])
def test_uwsgi_tells_its_number_of_processes(numproc: int, server: str | None) -> None:
    assert prefork_server({"uwsgi": SimpleNamespace(numproc=numproc)}, {}, ["uwsgi"]) == server


def test_a_program_without_such_a_server_is_one_process() -> None:
    assert prefork_server({"flask": object()}, {"WEB_CONCURRENCY": "4"}, ["python", "-w", "4"]) is None
