"""Plan of a cell (`dry_run=true`): its weights, memory, expected time, and what is missing here. Loads no model.

The time is an expectation under the stated ASSUMPTION, not a measurement. torch is not imported.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from pixfound.config.factory import Part, build, find_target
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, Component, Extractor, Judge, Model, PhraseFinder, Segmenter, Selector
from pixfound.types.arguments import parameters

GPU = "NVIDIA A100 80 GB"
ASSUMPTION = (
    f"Expected on one {GPU}: prompts in batches of 16 with 700 tokens; answers of 100 tokens (open), 5 (choice) and 60 "
    "(ground); reading at 40 % of 312 TFLOP/s, writing at 50 % of 2.0 TB/s; 0.3 s for the masks of an image; 1 s for a "
    "reply of a judge, 4 at a time; one minute to start. Memory: the weights in their dtype and 20 % for caches."
)
_BATCH, _TOKENS_IN, _TOKENS_OUT = 16, 700, {"open": 100, "choice": 5, "ground": 60}
_READ, _WRITE = 0.4 * 312e12, 0.5 * 2.0e12  # operations, bytes a second
_MASKS, _REPLY, _START = 0.3, 1.0 / 4, 60.0  # seconds
_REPLIES = 4  # of a judge that chooses candidates, for an example: is it there, and which, of both prompts
_SERVICES: Mapping[str, type[Component]] = {
    "model": Model,
    "phrases": PhraseFinder,
    "segmenter": Segmenter,
    "judge": Judge,
}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "auto": 2}


def plan(config: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of a resolved config as JSON values: names, weights, memory_gb, seconds, missing.

    seconds: by what they are spent on; cells that have an entry of `generate` in common pay for it once.
    """
    missing: list[str] = []
    benchmark = _try(missing, partial(build, config["benchmark"], "benchmark", Benchmark))
    examples = _examples(config, benchmark)
    services = _services(config, missing)
    extraction = config["extraction"]
    for kind, of in (("extractors", Extractor), ("selectors", Selector)) if len(services) == len(_SERVICES) else ():
        for name, section in extraction[kind].items():
            _try(missing, partial(build, section, f"extraction.{kind}.{name}", of, services))
    extractors = [find_target(c["_target_"], f"extraction.extractors.{n}") for n, c in extraction["extractors"].items()]
    segments = any("segmenter" in parameters(extractor) for extractor in extractors)
    weights = [*_weights(config["model"])]
    segmenter = [*_weights(config["segmenter"])] if segments else []
    key = str(config["judge"].get("api_key_env", ""))
    if key and not os.environ.get(key):
        missing.append(f"judge.api_key_env={key}: this environment variable is not set")
    if (weights or segmenter) and not shutil.which("nvidia-smi"):
        missing.append("no NVIDIA GPU is seen here (nvidia-smi)")
    parameters_, size = _parameters(weights), _BYTES.get(str(config["model"].get("dtype", "auto")), 2)
    of_segmenter = _parameters(segmenter)
    memory = (
        None if parameters_ is None or of_segmenter is None else 1.2 * (parameters_ * size + of_segmenter * 4) / 1e9
    )
    return {
        "names": dict(config["names"]),
        "examples": examples,
        "weights": [_about(repo, revision) for repo, revision in [*weights, *segmenter]],
        "memory_gb": memory,
        "seconds": None if parameters_ is None else _seconds(config, examples, parameters_, size, segments),
        "missing": missing,
    }


def _seconds(config: Mapping[str, Any], examples: int, count: float, size: int, segments: bool) -> dict[str, float]:
    """Seconds by what they are spent on; `generate KIND DIGEST` names prompts that cells can share."""
    spent = {}
    for kind, tokens in _TOKENS_OUT.items() if count else ():
        reading = 2 * count * _TOKENS_IN / _READ
        writing = tokens * count * size / _WRITE / _BATCH
        asked = json.dumps([config["model"], config["prompts"].get(kind), config["names"]["benchmark"]], sort_keys=True)
        spent[f"generate {kind} {asked}"] = examples * (reading + writing)
    if segments:
        spent["masks"] = examples * _MASKS
    if "api_key_env" in config["judge"]:
        chooses = any("Judge" in str(s["_target_"]) for s in config["extraction"]["selectors"].values())
        spent["judge"] = examples * _REPLY * (1 + _REPLIES * chooses)
    return {**spent, "start": _START}


def _examples(config: Mapping[str, Any], benchmark: Part[Benchmark] | None) -> int:
    """The number of examples; of a benchmark that is not here, as published."""
    from pixfound.apps.data.datasets import DATASETS

    name = config["names"]["benchmark"]
    count = len(benchmark.built) if benchmark else DATASETS[name].count if name in DATASETS else 1000
    return min(count, config["limit"] or count)


def _services(config: Mapping[str, Any], missing: list[str]) -> dict[str, Part[Any]]:
    parts = {name: _try(missing, partial(build, config[name], name, kind)) for name, kind in _SERVICES.items()}
    for name in ("phrases", "model"):
        if (part := parts[name]) is not None and "path" not in config[name]:
            _try(missing, part.built.identity)  # files of predictions, an installed pipeline
    return {name: part for name, part in parts.items() if part is not None}


def _try(missing: list[str], work: Callable[[], Any]) -> Any:
    """The result of some work; None, and a line more in `missing`, where it raises a UserError."""
    try:
        return work()
    except UserError as error:
        missing.append(" ".join(str(error).split()))
        return None


def _weights(section: Any) -> Iterator[tuple[str, str | None]]:
    """(hub id, revision) of each checkpoint that a section names; folders and embedded ones have no id."""
    for name, value in section.items() if isinstance(section, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _weights(value)
        elif name == "path" or f"{name}_revision" in section:
            revision = section.get("revision" if name == "path" else f"{name}_revision")
            if isinstance(value, str) and value.count("/") == 1 and not Path(value).expanduser().is_dir():
                yield value, revision


@cache
def _known() -> Mapping[str, Mapping[str, Any]]:
    from omegaconf import OmegaConf

    text = (files("pixfound.published") / "weights.yaml").read_text(encoding="utf-8")
    return dict(OmegaConf.to_container(OmegaConf.create(text)))  # type: ignore[arg-type]


def _about(repo: str, revision: str | None) -> dict[str, Any]:
    """The weights as JSON values; None for what is not known of them."""
    known = _known().get(repo, {})
    of = {"gb": known.get("files"), "gated": known.get("gated"), "here": _is_here(repo, revision)}
    return {"repo": repo, "revision": revision or "main", **of}


def _parameters(weights: list[tuple[str, str | None]]) -> float | None:
    """Number of parameters of some weights together; None where one of them is not known."""
    if any(repo not in _known() for repo, _ in weights):
        return None
    return sum(1e6 * float(_known()[repo]["parameters"]) for repo, _ in weights)


def _is_here(repo: str, revision: str | None) -> bool:
    """True if the hub's cache has weights of a repository at a revision."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo, "config.json", revision=revision)
    return isinstance(config, str) and any(
        file.suffix in (".safetensors", ".bin") for file in Path(config).parent.iterdir()
    )
