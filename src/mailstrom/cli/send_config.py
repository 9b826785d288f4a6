"""From the arguments of `mailstrom send` and the environment to a `Config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from email.utils import formataddr

from ..config import Config, RelayConfig, RemoteDeliveryConfig
from ..errors import ConfigError
from .exit_codes import CommandError, ExitCode
from .send_arguments import SendArguments
from .send_input import read_file

PREFIX = "MAILSTROM_"
PASSWORD_VARIABLE = f"{PREFIX}RELAY_PASSWORD"


def config_for(arguments: SendArguments, environ: Mapping[str, str]) -> Config:
    """The settings of --config, else of the environment, with what the options say in their place."""
    config = _without_options(arguments, environ)
    if arguments.relay is not None:
        config = replace(config, delivery=relay_for(arguments, environ))
    elif arguments.relay_password_file or arguments.relay_ca_file:
        raise CommandError(ExitCode.USAGE, "--relay-password-file and --relay-ca-file need --relay")
    if arguments.helo is not None:
        config = replace(config, helo_name=arguments.helo)
    if arguments.require_tls:
        config = replace(config, require_tls=True)
    sender = _stand_in_for_from(arguments)
    return config if sender is None else _with_default_from(config, sender, arguments)


def _with_default_from(config: Config, sender: str, arguments: SendArguments) -> Config:
    try:
        return replace(config, default_from=sender)
    except ConfigError as error:
        option = "--from" if arguments.from_ else "-f"
        raise CommandError(ExitCode.USAGE, f"{option} {sender}: expected one address") from error


def relay_for(arguments: SendArguments, environ: Mapping[str, str]) -> RelayConfig | RemoteDeliveryConfig:
    """The relay of --relay, with the password from where it was put."""
    settings: dict[str, object] = {"url": arguments.relay}
    if arguments.relay_ca_file is not None:
        settings["ca_file"] = arguments.relay_ca_file
    if arguments.relay_password_file is not None:
        settings["auth"] = {"password_file": arguments.relay_password_file}
    elif _names_only_a_user(arguments.relay or ""):
        if not environ.get(PASSWORD_VARIABLE):
            hint = f"give --relay-password-file, or set {PASSWORD_VARIABLE}"
            raise CommandError(ExitCode.USAGE, f"--relay names a user without a password: {hint}")
        settings["auth"] = {"password": environ[PASSWORD_VARIABLE]}
    return Config.from_dict({"delivery": {"relay": settings}}).delivery


def _without_options(arguments: SendArguments, environ: Mapping[str, str]) -> Config:
    if arguments.config is not None:
        read_file(arguments.config)  # so that a missing file is told like every other
        return Config.from_toml(arguments.config)
    if arguments.relay is None:
        return Config.from_env(environ)
    elsewhere = tuple(f"{PREFIX}{part}_" for part in ("RELAY", "REMOTE"))
    return Config.from_env({name: environ[name] for name in environ if not name.startswith(elsewhere)})


def _names_only_a_user(url: str) -> bool:
    """Whether the URL has a user and no password, and is otherwise left to be judged elsewhere."""
    user, at, _ = url.partition("://")[2].rpartition("@")
    return bool(at) and bool(user) and ":" not in user


def _stand_in_for_from(arguments: SendArguments) -> str | None:
    """Who a message without From is from: --from, else the address of -f."""
    if arguments.from_:
        return arguments.from_
    if not arguments.reverse_path:
        return None
    return formataddr((arguments.full_name, arguments.reverse_path), "utf-8")
