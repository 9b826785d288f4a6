"""The signers of a Config: given as values, in tables, in files and variables; keys are secrets."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import mailstrom
from mailstrom.config import Config
from mailstrom.errors import ConfigError
from tests.dkim_keys import ed25519_pem, ed25519_signer, rsa_pem, rsa_signer

PEM = ed25519_pem()
CANARY = PEM.splitlines()[1]


def a_table(**settings: Any) -> dict[str, Any]:
    given = {"domain": "sender.test", "selector": "e", "private_key": PEM}
    return {key: value for key, value in (given | settings).items() if value is not None}


def test_without_a_signer_nothing_is_signed() -> None:
    assert Config().dkim == ()


def test_one_signer_is_as_good_as_a_list_of_one() -> None:
    signer = ed25519_signer()

    assert Config(dkim=signer).dkim == Config(dkim=[signer]).dkim == (signer,)
    assert Config(dkim=signer).dkim_signers == (signer,)


@pytest.mark.parametrize(
    "given", ["sender.test", PEM, 5, None, {"domain": "sender.test"}, [PEM], (None,), [a_table()]]
)
def test_what_is_no_signer_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"Config\.dkim: expected DkimSigner") as caught:
        Config(dkim=given)  # type: ignore[arg-type]

    assert CANARY not in str(caught.value)


def test_a_selector_is_used_once() -> None:
    """Two keys cannot be published under one name."""
    with pytest.raises(ConfigError, match=r"e\._domainkey\.sender\.test twice"):
        Config(dkim=(ed25519_signer(), ed25519_signer()))


def test_config_and_signers_are_equal_to_others_made_alike() -> None:
    assert Config(dkim=(ed25519_signer(),)) == Config(dkim=(ed25519_signer(),))
    assert hash(Config(dkim=(ed25519_signer(),))) == hash(Config(dkim=(ed25519_signer(),)))
    assert Config(dkim=(ed25519_signer(),)) != Config(dkim=(rsa_signer(),))


# --- from outside


def in_a_file(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "key.pem").write_text(PEM, encoding="ascii")
    return a_table(private_key=None, private_key_file=str(tmp_path / "key.pem"))


def test_from_dict_takes_a_table_or_a_list_of_them() -> None:
    expected = (ed25519_signer(),)

    assert Config.from_dict({"dkim": a_table()}).dkim == expected
    assert Config.from_dict({"dkim": [a_table()]}).dkim == expected
    assert Config.from_dict({"dkim": ed25519_signer()}).dkim == expected
    assert Config.from_dict({"dkim": []}).dkim == ()


def test_from_dict_takes_each_setting_of_a_signer() -> None:
    settings: dict[str, Any] = {
        "canonicalization": "simple/relaxed",
        "headers": ["From", "Subject"],
        "identity": "news@sender.test",
        "expires_after_secs": 3600,
        "every_author": True,
    }

    (signer,) = Config.from_dict({"dkim": a_table(**settings)}).dkim

    assert signer == ed25519_signer(**settings)


def test_a_toml_file_has_any_number_of_signers(tmp_path: Path) -> None:
    (tmp_path / "rsa.pem").write_text(rsa_pem())
    (tmp_path / "ed.pem").write_text(ed25519_pem())
    path = tmp_path / "mailstrom.toml"
    path.write_text(
        f"""
        [[dkim]]
        domain = "sender.test"
        selector = "r"
        private_key_file = '{tmp_path / "rsa.pem"}'
        canonicalization = "relaxed/simple"

        [[dkim]]
        domain = "sender.test"
        selector = "e"
        private_key_file = '{tmp_path / "ed.pem"}'
        """,
        encoding="utf-8",
    )

    assert Config.from_toml(path).dkim == (
        rsa_signer(canonicalization="relaxed/simple"),
        ed25519_signer(),
    )


@pytest.mark.parametrize(
    "written", [PEM, PEM.replace("\n", "\\n"), f"\n{PEM}\n", PEM.replace("\n", "\r\n")],
    ids=["as it is", "in one line", "with empty lines", "with CRLF"],
)  # fmt: skip
def test_the_environment_has_one_signer(written: str) -> None:
    """In many places a variable cannot have line ends; there they are written \\n."""
    variables = {
        "MAILSTROM_DKIM_DOMAIN": "sender.test",
        "MAILSTROM_DKIM_SELECTOR": "e",
        "MAILSTROM_DKIM_PRIVATE_KEY": written,
        "MAILSTROM_DKIM_EXPIRES_AFTER_SECS": "3600",
        "MAILSTROM_DKIM_EVERY_AUTHOR": "yes",
        "MAILSTROM_DKIM_HEADERS": "From, Subject",
        "MAILSTROM_DKIM_CANONICALIZATION": "relaxed/simple",
        "MAILSTROM_DKIM_IDENTITY": "",
    }

    assert Config.from_env(variables).dkim == (
        ed25519_signer(
            expires_after_secs=3600,
            every_author=True,
            headers=("From", "Subject"),
            canonicalization="relaxed/simple",
        ),
    )


def test_a_variable_may_say_in_which_file_the_key_is(tmp_path: Path) -> None:
    variables = {
        "MAILSTROM_DKIM_DOMAIN": "sender.test",
        "MAILSTROM_DKIM_SELECTOR": "e",
        "MAILSTROM_DKIM_PRIVATE_KEY_FILE": in_a_file(tmp_path)["private_key_file"],
    }

    assert Config.from_env(variables).dkim == (ed25519_signer(),)


def test_a_table_may_say_in_which_variable_the_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY_OF_OURS", PEM)

    table = a_table(private_key=None, private_key_env="A_KEY_OF_OURS")

    assert Config.from_dict({"dkim": table}).dkim == (ed25519_signer(),)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (a_table(domain=None), "Config.dkim.domain"),
        (a_table(selector=None), "Config.dkim.selector"),
        (a_table(private_key=None), "private_key_file"),
        (a_table(private_key_file="/key.pem"), "private_key and private_key_file"),
        (a_table(private_key=None, private_key_file="/no/such/key.pem"), "private_key_file"),
        (a_table(private_key=None, private_key_file=PEM), "private_key_file"),
        (a_table(private_key=None, private_key_env="NO_SUCH_VARIABLE_OF_OURS"), "not set"),
        (a_table(private_key=None, private_key_env=PEM), "private_key_env"),
        (a_table(privatekey=PEM), "did you mean 'private_key'"),
        (a_table(private_key="no PEM"), "private_key"),
        (a_table(private_key=PEM.replace("BEGIN PRIVATE", "BEGIN PUBLIC")), "private_key"),
        (a_table(private_key=PEM[40:]), "private_key"),
        (a_table(domain="localhost"), "domain"),
        (a_table(selector="a b"), "selector"),
        (a_table(headers=["Subject"]), "headers"),
        (a_table(canonicalization="strict"), "canonicalization"),
        (a_table(identity="ann@other.test"), "identity"),
        (a_table(expires_after_secs="soon"), "expires_after_secs"),
        (a_table(every_author="yes"), "every_author"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_named_and_the_key_is_not_told(
    table: Mapping[str, object], complaint: str
) -> None:
    """Threat S10: neither in the text, nor in a traceback that shows locals."""
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"dkim": [table]})

    package = str(Path(mailstrom.__file__).parent)
    ours = [frame for frame in _frames(caught.value) if frame.startswith(package)]
    assert complaint in str(caught.value)
    assert CANARY not in str(caught.value)
    assert ours
    assert [frame for frame in ours if CANARY in frame] == []


def _frames(error: BaseException | None) -> list[str]:
    """Each frame with its locals, of the error and of what caused it."""
    frames: list[str] = []
    while error is not None:
        summary = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames += [f"{frame.filename} {frame.locals}" for frame in summary.stack]
        error = error.__cause__ or error.__context__
    return frames


@pytest.mark.parametrize(
    "show",
    [repr, str, dataclasses.asdict, dataclasses.astuple, copy.deepcopy, lambda config: vars(type(config))],
    ids=["repr", "str", "asdict", "astuple", "deepcopy", "vars"],
)
def test_no_dump_of_a_config_has_the_key(show: Callable[[Config], object]) -> None:
    """Threat S10."""
    config = Config.from_dict({"dkim": a_table()})

    assert CANARY not in repr(show(config))


def test_a_config_with_a_key_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Config(dkim=(ed25519_signer(),)))


# --- the extra


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_config_without_signers_loads_no_cryptography() -> None:
    code = "import sys, mailstrom; mailstrom.Config(); mailstrom.Config.from_env({}); print(*sys.modules)"

    loaded = ran(code).split()

    assert [name for name in loaded if name.startswith(("cryptography", "mailstrom.dkim"))] == []
    assert "mailstrom.config" in loaded


def test_without_the_extra_the_error_says_what_to_install() -> None:
    table = a_table(private_key="-----BEGIN PRIVATE KEY-----")
    code = (
        "import sys; sys.modules['cryptography'] = None; import mailstrom\n"
        f"try: mailstrom.Config.from_dict({{'dkim': {table}}})\n"
        "except mailstrom.ConfigError as error: print(error)"
    )

    assert "mailstrom[dkim]" in ran(code)
