"""The package's front: few names, each where the table says, and quick to import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import mailstrom


def test_every_public_name_is_there_and_listed_once_in_order() -> None:
    assert mailstrom.__all__ == sorted(set(mailstrom.__all__))
    assert set(mailstrom.__all__) == set(mailstrom._HOMES)
    assert all(getattr(mailstrom, name) is not None for name in mailstrom.__all__)
    assert set(mailstrom.__all__) <= set(dir(mailstrom))


def test_there_are_fewer_than_fifty_public_names() -> None:
    assert len(mailstrom.__all__) < 50


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    tree = ast.parse(inspect.getsource(mailstrom))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for alias in node.names
    }

    assert seen == mailstrom._HOMES


def test_the_rooms_of_messages_and_signatures_are_there_without_an_import_of_their_own() -> None:
    code = "import mailstrom as m; print(m.message.parse_mailbox('a@b.example'), m.dkim.verify.__name__)"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "a@b.example verify"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Mailstorm'"):
        _ = mailstrom.Mailstorm


def test_importing_the_package_loads_none_of_its_parts() -> None:
    code = "import sys, mailstrom; print([m for m in sys.modules if m.startswith('mailstrom.')])"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_making_emails_and_asking_for_statuses_loads_no_loop_no_dns_and_no_smtp() -> None:
    code = (
        "import sys; from mailstrom import *\n"
        "m = Mailstrom(Config(helo_name='a.example', mode='capture'))\n"
        "m.query_status(m.send_email(Email(from_='a@x.example', to='b@y.example', text='t')))\n"
        "m.close(); print([m for m in ('asyncio', 'ssl', 'dns', 'aiosmtplib') if m in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
