"""One paired evaluation: all stages and the run's folder. A finished run computes nothing again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pixfound.apps.finish import finish
from pixfound.compute.devices import use_threads
from pixfound.config.factory import Part, Parts, build, build_parts, fingerprints
from pixfound.config.settings import Settings
from pixfound.interfaces import Component, Load
from pixfound.io.atomic import make_folder
from pixfound.io.table_formats import ENDINGS
from pixfound.io.terminal import say
from pixfound.pipeline.batching import choose_batch_size
from pixfound.pipeline.distributed import World, join_world
from pixfound.pipeline.extract import extract, extract_tasks
from pixfound.pipeline.generate import generate, generate_load, generate_tasks
from pixfound.pipeline.grade import grade, grade_tasks
from pixfound.pipeline.preflight import preflight
from pixfound.pipeline.results import Result, finished
from pixfound.pipeline.run_data import run_fingerprint
from pixfound.pipeline.run_examples import RunExamples
from pixfound.pipeline.run_folder import read_config
from pixfound.pipeline.select import judge_load, select, select_tasks
from pixfound.pipeline.stage_loop import Budget, Task, run_stage
from pixfound.pipeline.stores import Stores, open_stores
from pixfound.published import read_published
from pixfound.scoring.metrics import Scoring
from pixfound.store.lock import next_writer, only_writer
from pixfound.store.provenance import RunLog, provenance
from pixfound.store.records import Value
from pixfound.store.store import Store

log = logging.getLogger(__name__)


def evaluate(config: Mapping[str, Any]) -> Result:
    """Run a resolved config, on every process of a launch; only the first process has the metrics.

    Raises UserError for a wrong config or wrong data, before any model is loaded.
    """
    settings = Settings.from_config(config)
    read_published(settings.published)  # its errors come first
    world = join_world(config["launch"]["num_processes"], config["launch"]["num_nodes"])
    try:
        return _evaluate(config, settings, world)
    finally:
        world.close()


def _evaluate(config: Mapping[str, Any], settings: Settings, world: World) -> Result:
    parts = build_parts(config)
    scoring = build(config["scoring"], "scoring", Scoring)
    run_examples = RunExamples(parts.benchmark.built, parts.prompts.built, settings.limit)
    for built in (parts.model.built, *(part.built for part in parts.selectors.values())):
        built.bind_examples(run_examples.files)
    prints = fingerprints(parts)
    name = run_fingerprint(run_examples, parts, prints, scoring, settings)
    folder = (
        settings.outputs_dir / "runs" / Path(*(settings.names[k] for k in ("benchmark", "model", "extraction"))) / name
    )
    make_folder(folder)
    with closing(open_stores(parts, prints, settings.outputs_dir, world.rank)) as stores:
        if world.first:
            _warn_of_changes(parts, stores)
        metrics_file = _finished(folder, config, settings) if world.first else {"metrics": {}}
        if world.least(metrics_file is not None) and metrics_file:  # the first one says so for all
            return Result(folder, settings.names, name, config, metrics_file["metrics"], was_complete=True)
        with only_writer(folder, "this run") if world.first else nullcontext():
            world.meet()
            use_threads(config["launch"]["threads"])
            timing = RunLog(config.get("overrides") or ())
            settings = _run_stages(run_examples, parts, stores, settings, world, timing)
            result = Result(folder, settings.names, name, config, {}, was_complete=False)
            result = finish(run_examples, parts, stores, scoring, result, settings, timing) if world.first else result
            world.meet()
    return result


def _finished(folder: Path, config: Mapping[str, Any], settings: Settings) -> dict[str, Any] | None:
    tables = [f"table.{ENDINGS[name]}" for name in settings.tables]
    if (folder / "config.yaml").exists() and settings.published:
        shown = read_config(folder).get("report", {}).get("published", [])
        if shown != list(settings.published):
            return None
    return finished(folder, config["tracker"], settings.page, tables)


def _run_stages(
    run_examples: RunExamples, parts: Parts, stores: Stores, settings: Settings, world: World, timing: RunLog
) -> Settings:
    """Run all stages in order, with a barrier after each, as the next one reads the results of all processes.

    Returns the settings with the batch size measured for batch_size=auto.
    """
    budget = Budget(settings.max_failures)
    size = settings.batch_size

    def batch_size() -> int:  # asked for when the stores are read: what is done needs none
        nonlocal size
        size = choose_batch_size(size, run_examples, parts, stores.generate, world)
        return 1 if size == "auto" else size

    steps: tuple[tuple[str, Callable[[], Iterator[Task[Any]]], Callable[[Any], Sequence[Value | Exception]]], ...] = (
        (
            "generate",
            lambda: generate_tasks(run_examples, stores.generate, batch_size()),
            partial(generate, parts),
        ),
        ("extract", lambda: extract_tasks(run_examples, stores), partial(extract, parts, stores)),
        ("grade", lambda: grade_tasks(run_examples, stores), partial(grade, parts, stores)),
        ("select", lambda: select_tasks(run_examples, stores), partial(select, parts, stores)),
    )
    if world.first:
        stores.generate.read()
        preflight(run_examples, parts, stores, settings.max_failures)
    for name, tasks, compute in steps:
        if name == "generate":
            _announce("model", generate_load(run_examples, stores.generate), parts.model.built, world)
        if name == "grade":
            _announce("judge", judge_load(run_examples, parts, stores), parts.judge.built, world)
        folders = [store.folder for store in stores.of(name)]
        with next_writer(folders, f"stage {name}") if world.first else nullcontext():
            world.meet()
            for store in stores.all() if world.size > 1 else stores.of(name):
                store.read()  # what other processes, and other runs, have written meanwhile
            world.meet()  # all have read the same, so all know the same work
            run_stage(name, tasks, compute, world, budget, partial(_begin, name, parts, stores))
            world.meet()
            timing.ended(name)
    if world.first and world.size > 1:
        for store in stores.all():
            store.read()
    return replace(settings, batch_size=size)


def _announce(role: str, load: Load, part: Component, world: World) -> None:
    """Print the cost of a judge or model before its first request. Each process has its share and its own limit."""
    if load.requests:
        share = Load(*(-(-number // world.size) for number in (load.requests, load.characters, load.images)))
        line = part.plan(share)
        if line and world.first:
            say(f"{role}{f', each of {world.size} processes' if world.size > 1 else ''}: {line}", stderr=True)


def _described(stage: str, parts: Parts, stores: Stores) -> list[tuple[Store, Part[Any]]]:
    """(store, component) of each store of a stage; the component is the one whose results it holds."""
    described: dict[str, list[tuple[Store, Part[Any]]]] = {
        "generate": [(stores.generate, parts.model)],
        "grade": [(stores.grade, parts.judge)],
        "extract": [(store, parts.extractors[name]) for name, store in stores.extract.items()],
        "select": [(store, parts.selectors[name]) for (_, name), store in stores.select.items()],
    }
    return described[stage]


def _begin(stage: str, parts: Parts, stores: Stores) -> None:
    """Write the descriptions of the stores of a stage that has work to do."""
    for store, part in _described(stage, parts, stores):
        store.begin({"identity": part.identity(), "provenance": {**provenance(), **part.provenance()}})


def _warn_of_changes(parts: Parts, stores: Stores) -> None:
    """Warn of differences (versions, code, device) since the stored results of this run were computed."""
    changes: dict[str, list[str]] = {}
    for stage in ("generate", "extract", "grade", "select"):
        for store, part in _described(stage, parts, stores):
            for change in store.changes({**provenance(), **part.provenance()}):
                if stage not in changes.setdefault(change, []):
                    changes[change].append(stage)
    for change, of in changes.items():
        log.warning("stored results of %s were computed with another setting: %s", ", ".join(of), change)
