"""Where the viewer listens and whom it lets in: the options of `view` and `demo`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ..errors import UsageError

C = TypeVar("C", bound=Callable[..., Any])


def door_options(command: C) -> C:
    """The options that every command takes which serves the viewer."""
    for option in reversed((
        click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
                     help="where to listen; others than this machine can reach what is not loopback"),
        click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True,
                     help="0 takes any free one"),
        click.option("--token", envvar="CNNLENS_TOKEN", metavar="TEXT",
                     help="what whoever asks must know, instead of a new one each time; also as "
                          "CNNLENS_TOKEN, which other users of this machine cannot list"),
        click.option("--no-token", is_flag=True, help="ask for none; on loopback only"),
        click.option("--allow-host", "hosts", multiple=True, metavar="NAME|ORIGIN",
                     help="another name to answer to, or https://… as browsers see it behind a proxy; "
                          "may be repeated"),
        click.option("--root-path", default="", metavar="/PATH", help="where a proxy serves it"),
        click.option("--no-open", is_flag=True, help="do not open a browser"),
    )):  # fmt: skip
        command = option(command)
    return command


def door(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as `serve` takes them. Raises UsageError for a token and none."""
    typed = click.get_current_context().get_parameter_source("token")
    if given["no_token"] and given["token"] and typed is click.core.ParameterSource.COMMANDLINE:
        raise UsageError("--token and --no-token contradict each other: give one of them")
    return {
        "host": given["host"], "port": given["port"], "hosts": given["hosts"], "root_path": given["root_path"],
        "token": False if given["no_token"] else given["token"] or True, "open_browser": not given["no_open"],
    }  # fmt: skip


DOOR = ("host", "port", "token", "no_token", "hosts", "root_path", "no_open")
