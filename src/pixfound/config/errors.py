"""Conversion of Hydra's errors to one line with the nearest valid names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, cast

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pixfound.errors import UserError, nearest

_RENAMED = {"convention": "format"}  # options of the last release, and what they are called now
_NO_CHOICE = "Config group override must be a string or a list. Got NoneType"  # Hydra's words for GROUP=null


def explain(error: Exception) -> str:
    """One line about a config that could not be composed."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        more = ' or pip install "pixfound[sweep]", which brings more' if group.startswith("hydra/") else ""
        return f"{group}={name}: there is no such choice; {nearest(name, error.options or [])}{more}"
    text = " ".join(str(error).split())
    if text == _NO_CHOICE:
        return _no_choice()
    unknown = re.search(
        r"(?:Could not override|Could not delete from config\.) '([^'@]+)|Key '([^']+)' is not in struct", text
    )
    if unknown:
        name = unknown[1] or unknown[2]
        parent, dot, last = name.rpartition(".")
        if last in _RENAMED:
            return f"{name}: there is no such option any more; type {parent}{dot}{_RENAMED[last]}"
        keys = [key for key in known_keys() if key != name]
        return f"{name}: there is no such option; {nearest(name, keys, _beside(name, keys))}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as an override; {_quoted(str(error.override))}"
    several = re.search(r"Ambiguous value for argument '(.*)' 1\. ", text)
    if several:
        return f"{several[1]}: holds several values, which need -m; {_quoted(several[1])}"
    return text


def _quoted(override: str) -> str:
    """The override quoted for Hydra, and around that for a shell, where its value has special characters of Hydra."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        return "write KEY=VALUE"
    typed = shlex.quote(f"{key}={quoted(value)}")
    return f"where the value is a text with such signs, type {typed}"


def quoted(text: str) -> str:
    """A text as the value of an override, in quotes that Hydra takes off."""
    escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + ("\\'" if match[2] else ""), text)
    escaped = escaped.replace("${", r"\${")  # or OmegaConf would look for the value of another key
    return f"'{escaped}'"


def is_about_the_config(error: Exception) -> bool:
    """True if an error is Hydra's own, about the command line."""
    return isinstance(error, HydraException | OmegaConfBaseException) or str(error) == _NO_CHOICE


def _no_choice() -> str:
    """One line about a config group without a choice."""
    for override in _overrides():
        group = override.key_or_group
        if override.value() is None and (resources.files("pixfound.conf") / group).is_dir():
            file_names = [path.name for path in (resources.files("pixfound.conf") / group).iterdir()]
            names = [name.removesuffix(".yaml") for name in file_names if name.endswith(".yaml")]
            return f"{override.input_line}: a group needs a choice; {nearest('none', names)}"
    return "a group needs a choice: type GROUP=NAME instead of GROUP=null"


def _beside(name: str, keys: list[str]) -> list[str]:
    """The keys directly under the longest existing prefix of a dotted name."""
    under = name.rpartition(".")[0]
    while under and under not in keys:
        under = under.rpartition(".")[0]
    return [key for key in keys if key.rpartition(".")[0] == under]


def _overrides() -> list[Any]:
    """The command line's overrides, parsed by Hydra."""
    typed = get_args_parser().parse_known_args()[0]
    return list(OverridesParser.create().parse_overrides(typed.overrides))


def _choices() -> list[str]:
    """The choices of config groups on the command line, the first of each sweep: they decide which keys exist."""
    folder = get_args_parser().parse_known_args()[0].config_dir
    overrides = [f"hydra.searchpath=[{folder}]"] if folder else []
    for override in _overrides():
        if override.is_delete() or override.is_add() or "." in override.key_or_group:
            continue
        value = next(override.sweep_string_iterator()) if override.is_sweep_override() else override.get_value_string()
        overrides.append(f"{override.get_key_element()}={value}")
    return overrides


def known_keys() -> list[str]:
    """All dotted keys of the config chosen on the command line, or of the default config where that has errors."""
    for overrides in (_choices(), []):
        GlobalHydra.instance().clear()
        try:
            with initialize_config_module("pixfound.conf", version_base="1.3"):
                config = compose("config", overrides=overrides)
            break
        except (HydraException, OmegaConfBaseException, ValueError):
            if not overrides:
                raise
    keys: list[str] = []

    def walk(node: Any, prefix: str) -> None:
        for name in node:
            keys.append(f"{prefix}{name}")
            child = node._get_node(name)
            if isinstance(child, DictConfig):
                walk(child, f"{prefix}{name}.")

    walk(config, "")
    return keys


def check_sections(config: Mapping[str, Any]) -> None:
    """Raise UserError where a resolved config lacks a section or value of conf/config.yaml, or has the wrong type."""
    _check_section(_expected(), config, "")
    extraction = config["extraction"]
    for where, entries in (
        *((f"extraction.{name}", extraction[name]) for name in _PARTS),
        ("analyses", config["analyses"]),
    ):
        _check_section({name: {} for name in entries}, entries, f"{where}.")
    for name, row in extraction["rows"].items():
        _check_section({"extractor": None, "selector": None}, row, f"extraction.rows.{name}.")


_PARTS = ("extractors", "selectors", "rows")


@cache
def _expected() -> dict[str, Any]:
    """The values of conf/config.yaml, with a section for each config group."""
    folder = resources.files("pixfound.conf")
    names = ("config.yaml", "launch/default.yaml")
    defaults, launch = (cast(dict[str, Any], OmegaConf.create((folder / name).read_text())) for name in names)
    choices = {
        name: choice for entry in defaults.pop("defaults") if entry != "_self_" for name, choice in entry.items()
    }
    sections: dict[str, Any] = {name: {} for name, choice in choices.items() if isinstance(choice, str)}
    sections = {name: section for name, section in sections.items() if "hydra/" not in name and name != "cluster"}
    defaults.pop("hydra")
    extraction: dict[str, Any] = {name: {} for name in _PARTS}
    return {**defaults, **sections, "launch": launch, "extraction": extraction}


def _check_section(expected: Mapping[str, Any], config: Mapping[str, Any], prefix: str) -> None:
    """Raise UserError for a missing key, or for a value where `expected` has a section. prefix: of the dotted names."""
    for name, value in expected.items():
        key = f"{prefix}{name}"
        if name not in config:
            raise UserError(f"{key}: has no value, but the run needs one: type {key}=... and no ~{key}")
        if isinstance(value, Mapping):
            if not isinstance(config[name], Mapping):
                shown = "null" if config[name] is None else config[name]
                raise UserError(f"{key}={shown}: is no single value: change one of its own, as {key}.KEY=VALUE")
            _check_section(value, config[name], f"{key}.")
