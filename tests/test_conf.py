"""Every YAML is bound to the signature of what it builds, without building it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.errors import HydraException

from pixfound.config.factory import DECLARED, find_target, stable_name
from pixfound.types.arguments import check_arguments
from tests.support.run import config_of

ROOT = Path(__file__).parents[1]
GROUPS = sorted(p for p in (ROOT / "conf").glob("*/*.yaml") if p.parent.name != "experiment")
NESTED = ("map_source", "phrase_unit", "region_proposer")  # groups of parts of an extractor
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
DEMO = [("tiny", "attend_segment"), ("tiny_pixel", "native"), ("tiny_pixel", "attend_segment")]


def targets(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield where, node
        for name, child in node.items():
            yield from targets(child, f"{where}.{name}")


def missing(node: Any, where: str) -> Iterator[str]:
    """The keys that a user has to fill in."""
    for name, child in node.items() if isinstance(node, dict) else ():
        yield from [f"{where}.{name}"] if child == "???" else missing(child, f"{where}.{name}")


def bind(where: str, node: dict[str, Any], partial: bool = False) -> None:
    """Every key is a parameter, its value fits, and every parameter without a default has a key or is a service.

    partial: the file has a defaults list and takes the rest from there: its keys alone are looked at.
    """
    target = find_target(node["_target_"], where)
    signature = inspect.signature(target)
    arguments = {name: value for name, value in node.items() if name not in ("_target_", "defaults", *DECLARED)}
    check_arguments(target, {name: v for name, v in arguments.items() if "${" not in str(v) and v != "???"}, where)
    services = {name: None for name in ("model", "segmenter", "phrases", "judge") if name in signature.parameters}
    (signature.bind_partial if partial else signature.bind)(**{**services, **arguments})


@pytest.mark.parametrize("path", GROUPS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_group_file_fits_its_target(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    found = list(targets(data, path.parent.name))
    builds_nothing = path.parent.name in ("cluster", "launch", "tracker")
    assert found or "defaults" in data or builds_nothing, f"{path} builds nothing"
    for where, node in found:
        bind(where, node, partial="defaults" in data)


@pytest.mark.parametrize("path", GROUPS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_group_file_composes(path: Path) -> None:
    nested = path.parent.name in NESTED
    extra = [f"{key}=some/where" for key in missing(yaml.safe_load(path.read_text()), path.parent.name)]
    if path.parent.name == "extraction" and path.stem == "nulls":
        extra.append("extraction=nulls")
    config = config_of(f"{'+' * nested}{path.parent.name}={path.stem}", *extra)
    for where, node in targets(config, "config"):
        bind(where, node)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_an_experiment_composes_and_fits(path: Path) -> None:
    if "hydra/sweeper: optuna" in path.read_text():
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    config = config_of(f"experiment={path.stem}")
    for where, node in targets(config, "config"):
        bind(where, node)


def test_the_cells_of_the_demo_compose_and_fit() -> None:
    cells = yaml.safe_load((ROOT / "experiments/demo.yaml").read_text())["hydra"]["sweeper"]["params"][
        "experiment/demo"
    ]
    models = []
    for cell in cells.split(","):
        config = config_of("experiment=demo", f"experiment/demo={cell}")
        for where, node in targets(config, "config"):
            bind(where, node)
        models.append((config["names"]["model"], config["names"]["extraction"], config["benchmark"]["level"]))
    assert models == [(m, e, "medium") for m, e in DEMO]
    assert sorted(cells.split(",")) == sorted(path.stem for path in (ROOT / "experiments/demo").iterdir())


def test_no_two_components_have_one_name_in_fingerprints() -> None:
    found = {node["_target_"] for path in GROUPS for _, node in targets(yaml.safe_load(path.read_text()), "")}
    names = [stable_name(find_target(target, "")) for target in sorted(found)]
    assert len(set(names)) == len(names) > 30


def test_there_are_experiments_and_groups() -> None:
    assert len(EXPERIMENTS) >= 2
    assert len(GROUPS) >= 15


def test_a_key_without_a_parameter_is_caught() -> None:
    with pytest.raises(TypeError, match="sead"):
        bind("x", {"_target_": "pixfound.benchmarks.pixshapes.PixShapes", "sead": 1})
    with pytest.raises(HydraException):
        config_of("benchmark.sead=1")
