"""Names of runs for people: the model with its id, and the options by which a run differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_APART = ("batch_size", "launch", "max_failures", "names", "outputs_dir", "overrides", "report", "tracker")
_LOCATIONS = ("benchmark.root", "benchmark.images")
_NAMED = ("benchmark", "model", "extraction", "model.path", "model.model")  # they are in every title
_SHOWN = 4  # options in a title


def title(names: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """Model with its id, benchmark, extraction, and the first options of the command line that change results."""
    options = given(config)
    more = [f"and {len(options) - _SHOWN} more"] if len(options) > _SHOWN else []
    where = f"{model_name(names, config)} on {names['benchmark']}, {names['extraction']}"
    return ", ".join([where, *options[:_SHOWN], *more])


def model_name(names: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """The model's name, behind it in brackets its id or the name of its folder."""
    section = config.get("model") or {}
    path = str(section.get("path") or section.get("model") or "")
    id = _short(path)
    return f"{names['model']} ({id})" if id and id != names["model"] else names["model"]


def given(config: Mapping[str, Any]) -> list[str]:
    """Overrides of the command line, as KEY=VALUE, that change results and are in no name; [] of older runs."""
    options = []
    for override in config.get("overrides") or ():
        key, equals, value = str(override).partition("=")
        if (name := key.lstrip("+~")) not in _NAMED and _changes_results(name):
            options.append(f"{key}{equals}{_short(value)}")
    return options


def main_row(selectors: Mapping[str, str]) -> str:
    """The row that is the model's score: the first that chooses without the ground truth. selectors: by row."""
    return next((row for row, selector in selectors.items() if selector != "oracle"), next(iter(selectors)))


def selectors_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The selector of each row of a run's config."""
    return {row: entry["selector"] for row, entry in config["extraction"]["rows"].items()}


def titles(names: Sequence[Mapping[str, str]], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A title for each of several runs; equal ones are distinguished by the options in which they differ."""
    plain = [title(*run) for run in zip(names, configs, strict=True)]
    flattened = [flat(dict(config)) for config in configs]
    different = []
    for name, config in zip(plain, flattened, strict=True):
        alike = [c for other, c in zip(plain, flattened, strict=True) if other == name]
        different.append(", ".join([name, *differing(config, alike)]))
    return different


def differing(config: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Options that not all of some flat configs have, as KEY=VALUE.

    `seed` stands for all that are taken from it, and so does any that deeper ones of the same name equal everywhere.
    """
    different = [key for key, value in config.items() if any(other.get(key) != value for other in configs)]
    relevant = sorted(filter(_changes_results, different), key=lambda key: key.count("."))
    depths: dict[tuple[str, ...], int] = {}  # of the first, by name and values
    kept = {
        key for key in relevant if depths.setdefault(_values(key, config, *configs), key.count(".")) == key.count(".")
    }
    return [f"{key}={'null' if config[key] is None else config[key]}" for key in different if key in kept]


def _values(key: str, *configs: Mapping[str, Any]) -> tuple[str, ...]:
    return key.rpartition(".")[2], *(repr(one.get(key)) for one in configs)


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values as dotted key -> value."""
    if not isinstance(node, dict) or not node:
        return {prefix.removesuffix("."): node}
    return {k: v for name, child in node.items() for k, v in flat(child, f"{prefix}{name}.").items()}


def _changes_results(key: str) -> bool:
    return key.partition(".")[0] not in _APART and key not in _LOCATIONS


def _short(path: str) -> str:
    """The last part of a path on this machine; any other text as it is."""
    return Path(path).name if Path(path).is_absolute() or path.startswith(("./", "../", "~")) else path
