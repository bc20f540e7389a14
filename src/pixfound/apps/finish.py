"""The end of a run: scores, metrics, analyses, report and tracker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from pixfound.config.factory import Part, Parts, build
from pixfound.config.settings import Settings
from pixfound.interfaces import Tracker
from pixfound.io.atomic import write_atomic
from pixfound.pipeline.results import Result, _Scored
from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import RunExample
from pixfound.pipeline.run_names import title
from pixfound.pipeline.stores import Stores
from pixfound.published import read_published
from pixfound.scoring.metrics import Scoring
from pixfound.store.checksums import write_sums
from pixfound.store.provenance import RunLog, provenance


def finish(
    run_examples: Sequence[RunExample],
    parts: Parts,
    stores: Stores,
    scoring: Part[Scoring],
    result: Result,
    settings: Settings,
    timing: RunLog,
) -> Result:
    """Compute scores, metrics and analyses of a run whose stages are done, and write them to its folder."""
    from pixfound.report.published_tables import published_tables

    scored = _Scored(parts.rows)
    write_atomic(result.folder / "scores.jsonl", scored.lines(run_examples, parts, stores, scoring.built))
    run = RunData(run_examples, parts, stores, scoring.built, scored.filling.table())
    results = {key: part.built.compute(run) for key, part in parts.analyses.items()}
    metrics: dict[str, Any] = {
        **scoring.built.metrics(run.scores),
        **({"cut": dict(scored.cut)} if scored.cut else {}),
        **({"bare": dict(scored.bare)} if scored.bare else {}),
        "analyses": {key: value for key, value in results.items() if value},
    }
    if tables := published_tables(result.names, metrics, read_published(settings.published)):
        metrics["published"] = [asdict(table) for table in tables]
    failures_of_analyses = [
        f"{key}: {failure}" for key, value in results.items() for failure in value.get("failures", ())
    ]
    result = replace(result, metrics=metrics, failures=[*scored.failures, *failures_of_analyses])
    _write(result, run, settings, timing)
    return result


def _write(result: Result, run: RunData, settings: Settings, timing: RunLog) -> None:
    """Write the run's other files, then metrics.json, then the checksums, which mark the run as complete."""
    from omegaconf import OmegaConf

    from pixfound.report.markdown import write_report
    from pixfound.report.page import PageRun, write_page
    from pixfound.report.paper_table import TableRun, paper_table, write_tables

    folder = result.folder
    write_atomic(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(result.config))))
    write_report(result, run, settings.pictures, settings.charts)
    write_tables(folder, "table", paper_table([TableRun(result.names, result.metrics)]), settings.tables)
    if settings.page:
        write_page(folder / "page", [PageRun(run, result.names, result.metrics, title(result.names, result.config))])
    usage = {"judge_usage": dict(spent)} if (spent := run.parts.judge.built.usage()) else {}
    about = {"batch_size": settings.batch_size, "devices": _devices(run.parts), **usage}
    origin = {**provenance(), **about, "commands": timing.entries(folder / "provenance.json")}
    write_atomic(folder / "provenance.json", json.dumps(origin, indent=2) + "\n")
    body: dict[str, Any] = {
        "fingerprint": result.fingerprint,
        "names": dict(result.names),
        "failures": len(result.failures),
        "published": [],
        "metrics": result.metrics,
    }
    write_atomic(folder / "metrics.json", json.dumps(body, indent=2) + "\n")
    write_sums(folder)
    tracker = result.config["tracker"]
    if tracker:  # last: a tracker that fails loses nothing, and is served by the next run
        build(tracker, "tracker", Tracker).built.log(result, run)
        write_atomic(folder / "metrics.json", json.dumps({**body, "published": [tracker["_target_"]]}, indent=2) + "\n")
        write_sums(folder)


def _devices(parts: Parts) -> dict[str, str]:
    """The device of the model, and of the segmenters and text-prompted models that extractors use."""
    named: dict[str, Part[Any]] = {"model": parts.model, **parts.extractors}
    devices = {}
    for name, part in named.items():
        for key, value in part.provenance().items():
            if key.rpartition(".")[2] == "device":
                devices[f"{name}.{key}".removesuffix(".device")] = str(value)
    return devices
