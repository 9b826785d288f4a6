"""Where `mailstrom send` gets its settings and the relay's password from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstrom import Config, ConfigError, RelayConfig, SmtpAuth
from mailstrom.cli.exit_codes import CommandError, ExitCode
from mailstrom.cli.send_arguments import SendArguments
from mailstrom.cli.send_config import config_for

URL = "smtp+starttls://me@relay.example"


def relayed(password: str) -> Config:
    return Config(delivery=RelayConfig("relay.example", auth=SmtpAuth("me", password)))


def test_without_options_mail_goes_to_the_mx_hosts() -> None:
    assert config_for(SendArguments(), {}) == Config()


def test_settings_come_from_the_environment() -> None:
    environ = {
        "MAILSTROM_HELO_NAME": "mail.sender.example",
        "MAILSTROM_RELAY_URL": "smtp://relay.example:2525",
    }

    config = config_for(SendArguments(), environ)

    assert config == Config(
        helo_name="mail.sender.example", delivery=RelayConfig("relay.example", 2525, tls="none")
    )


def test_a_settings_file_stands_in_for_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "mailstrom.toml"
    file.write_text('helo_name = "file.example"\n')

    config = config_for(SendArguments(config=str(file)), {"MAILSTROM_HELO_NAME": "environment.example"})

    assert config == Config(helo_name="file.example")


def test_options_go_before_settings() -> None:
    environ = {
        "MAILSTROM_HELO_NAME": "environment.example",
        "MAILSTROM_RELAY_URL": "smtp://other.example",
        "MAILSTROM_RELAY_PORT": "2525",
    }
    arguments = SendArguments(helo="option.example", relay="smtps://relay.example", require_tls=True)

    config = config_for(arguments, environ)

    assert config == Config(
        helo_name="option.example", require_tls=True, delivery=RelayConfig("relay.example", tls="implicit")
    )


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")

    arguments = SendArguments(relay=URL, relay_password_file=str(file))

    assert config_for(arguments, {"MAILSTROM_RELAY_PASSWORD": "other"}) == relayed("s3cret")


def test_the_password_comes_from_the_environment() -> None:
    environ = {"MAILSTROM_RELAY_PASSWORD": "s3cret"}

    assert config_for(SendArguments(relay=URL), environ) == relayed("s3cret")


def test_the_password_may_stand_in_the_url() -> None:
    arguments = SendArguments(relay="smtp+starttls://me:s3cret@relay.example")

    assert config_for(arguments, {"MAILSTROM_RELAY_PASSWORD": "other"}) == relayed("s3cret")


def test_the_arguments_do_not_show_the_password() -> None:
    assert "s3cret" not in repr(SendArguments(relay="smtps://me:s3cret@relay.example"))


def test_a_relay_with_a_private_authority_is_verified_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("a certificate\n")

    config = config_for(SendArguments(relay="smtps://relay.example", relay_ca_file=str(file)), {})

    assert config.delivery == RelayConfig("relay.example", tls="implicit", ca_file=str(file))


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (SendArguments(relay=URL), ExitCode.USAGE, "MAILSTROM_RELAY_PASSWORD"),
        (SendArguments(relay_password_file="pw"), ExitCode.USAGE, "need --relay"),
        (SendArguments(config="/nowhere/mailstrom.toml"), ExitCode.NO_INPUT, "/nowhere/mailstrom.toml"),
    ],
)
def test_what_is_missing_is_named(arguments: SendArguments, code: ExitCode, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint) as raised:
        config_for(arguments, {})

    assert raised.value.code is code


@pytest.mark.parametrize("url", ["relay.example", "http://relay.example", "smtp://me:pw@relay.example"])
def test_a_relay_that_cannot_be_used_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        config_for(SendArguments(relay=url), {})


@pytest.mark.parametrize(
    ("arguments", "default_from"),
    [
        (SendArguments(from_="Me <me@sender.example>"), "Me <me@sender.example>"),
        (SendArguments(return_path="me@sender.example"), "me@sender.example"),
        (SendArguments(return_path="<me@sender.example>", full_name="Cron"), "Cron <me@sender.example>"),
        (SendArguments(return_path="<>"), None),
        (SendArguments(return_path=""), None),
    ],
)
def test_who_a_message_without_from_is_from(arguments: SendArguments, default_from: str | None) -> None:
    assert config_for(arguments, {}).default_from == default_from
