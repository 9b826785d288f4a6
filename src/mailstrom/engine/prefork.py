"""Whether this process is one of several that a web server made of one program. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WORKERS = re.compile(r"(?:^|\s)(?:-w\s*|--workers[=\s]\s*)(\d+)(?:\s|$)")


def prefork_server(
    modules: Mapping[str, object], environ: Mapping[str, str], arguments: Sequence[str]
) -> str | None:
    """The server's name where each of its worker processes has a memory of its own; None for one process.

    By what is loaded in the process, its environment and its command line. A number of workers
    that cannot be known (gunicorn's configuration file) counts as several.
    """
    if (uwsgi := modules.get("uwsgi")) is not None:
        return None if getattr(uwsgi, "numproc", None) == 1 else "uWSGI"
    if "gunicorn.arbiter" in modules:
        return None if _gunicorn_workers(environ, arguments) == 1 else "gunicorn"
    return None


def _gunicorn_workers(environ: Mapping[str, str], arguments: Sequence[str]) -> int | None:
    """The command line goes before GUNICORN_CMD_ARGS, and that before WEB_CONCURRENCY."""
    for line in (" ".join(arguments), environ.get("GUNICORN_CMD_ARGS", "")):
        if found := _WORKERS.findall(line):
            return int(found[-1])
    count = environ.get("WEB_CONCURRENCY", "")
    return int(count) if count.isdecimal() else None
