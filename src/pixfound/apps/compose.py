"""Configs composed without Hydra's own command line: for Python and for commands with arguments of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from pixfound.apps.evaluate import resolve
from pixfound.errors import UserError


def compose_config(overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved config of a command line of `pixfound`. Raises UserError, of one line, for a wrong one."""
    from pixfound.config.errors import explain, is_about_the_config

    with _own_hydra():
        try:
            with initialize_config_module("pixfound.conf", version_base="1.3"):
                config = compose("config", overrides=list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            return resolve(config)
        except Exception as error:
            if not is_about_the_config(error):
                raise
            with _command_line(overrides):
                raise UserError(explain(error)) from error


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Leave the caller's own Hydra application, if there is one, as it was."""
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config


@contextmanager
def _command_line(overrides: Sequence[str]) -> Iterator[None]:
    """Show the overrides as the command line, in which Hydra's errors are looked up; a notebook's is its kernel's."""
    before = sys.argv
    sys.argv = [before[0], *overrides]
    try:
        yield
    finally:
        sys.argv = before
