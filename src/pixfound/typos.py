"""Hydra's own errors as one line that names the nearest valid names."""

from __future__ import annotations

import re
import shlex
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from pixfound.errors import nearest


def explain(error: Exception) -> str:
    """One line about a config that could not be composed."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        more = ' or pip install "pixfound[sweep]", which brings more' if group.startswith("hydra/") else ""
        return f"{group}={name}: there is no such choice; {nearest(name, error.options or [])}{more}"
    text = " ".join(str(error).split())
    unknown = re.search(r"Could not override '([^'@]+)", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        name = unknown.group(1)
        return f"{name}: there is no such option; {nearest(name, (key for key in known_keys() if key != name))}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; {_quoted(str(error.override))}"
    several = re.search(r"Ambiguous value for argument '(.*)' 1\. ", text)
    if several:
        return f"{several[1]}: holds several values, which need -m; {_quoted(several[1])}"
    return text


def _quoted(override: str) -> str:
    """How to type an override whose value holds signs of Hydra's own: quotes for Hydra, and those of a shell around."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        return "write KEY=VALUE"
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    escaped = escaped.replace("${", r"\${")  # or OmegaConf would look for the value of another key
    typed = shlex.quote(f"{key}='{escaped}'")
    return f"where the value is a text with such signs, type {typed}"


def known_keys() -> list[str]:
    """Every key of the default config, dotted."""
    GlobalHydra.instance().clear()
    with initialize_config_module("pixfound.conf", version_base="1.3"):
        config = compose("config")
    keys: list[str] = []

    def walk(node: Any, prefix: str) -> None:
        for name in node:
            keys.append(f"{prefix}{name}")
            child = node._get_node(name)
            if isinstance(child, DictConfig):
                walk(child, f"{prefix}{name}.")

    walk(config, "")
    return keys
