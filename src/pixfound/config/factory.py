"""Building of components from configs (`_target_` and arguments), and their identity for fingerprints."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from pixfound.config.source import source_digest
from pixfound.errors import UserError, nearest
from pixfound.interfaces import (
    Analysis,
    Benchmark,
    Component,
    Extractor,
    Judge,
    Model,
    PhraseFinder,
    Segmenter,
    Selector,
)
from pixfound.io.fingerprints import fingerprint
from pixfound.prompts.builder import Prompts
from pixfound.types.arguments import annotations_of, check_arguments, parameters

T = TypeVar("T", bound=Component)
# Keys of a YAML that others take by interpolation.
DECLARED = ("coordinates", "official_metrics", "download", "questions")
_CONTENT = ("path",)  # locations: `identity()` gives the content
_RUNTIME = ("device",)  # options that do not change results


@dataclass(frozen=True)
class Part(Generic[T]):
    """A built component. uses: the services that its constructor took, and the components that its config holds."""

    config: Mapping[str, Any]
    built: T
    uses: Mapping[str, Part[Any]]

    def identity(self) -> dict[str, Any]:
        """JSON values that the results depend on: name and version, options, content, the services used.

        The module is left out, so that a moved class keeps its stored results. For a class from outside the package
        the digest of its source is added.
        """
        cls = type(self.built)
        content = dict(self.built.identity())
        apart = {"_target_", *_RUNTIME, *(_CONTENT if content else ()), *cls.runtime_options}
        source = source_digest(find_target(self.config["_target_"], "_target_"))
        return {
            "name": stable_name(cls),
            "version": cls.version,
            "options": {k: v for k, v in self.config.items() if k not in apart and k not in self.uses},
            "content": content,
            "uses": {k: p.identity() for k, p in self.uses.items()},
            **({"source": source} if source else {}),
        }

    def provenance(self) -> dict[str, Any]:
        """JSON values recorded with the results, those of its services included."""
        own = dict(self.built.provenance())
        for name, part in self.uses.items():
            own |= {f"{name}.{k}": v for k, v in part.provenance().items()}
        return own


@dataclass(frozen=True)
class Parts:
    """All components of a run. rows: name -> (extractor, selector), the rows of the table in order."""

    benchmark: Part[Benchmark]
    prompts: Part[Prompts]
    model: Part[Model]
    extractors: Mapping[str, Part[Extractor]]
    selectors: Mapping[str, Part[Selector]]
    judge: Part[Judge]
    rows: Mapping[str, tuple[str, str]]
    analyses: Mapping[str, Part[Analysis]]


def stable_name(cls: type[Component]) -> str:
    """The name of a component in fingerprints: its `stable_name` where it has one, else the name of its class."""
    return cls.stable_name or cls.__name__


def build(
    config: Mapping[str, Any], where: str, kind: type[T], services: Mapping[str, Part[Any]] | None = None
) -> Part[T]:
    """Build `config["_target_"]` with the other keys as arguments, and with the services that its constructor takes.

    A mapping with a `_target_` of its own, for a parameter whose annotation is a kind of component, is built first.
    where: the config key, for error messages. Keys in `DECLARED` are left out. Raises UserError where an argument is
    unknown, missing, or does not fit its annotation (`pixfound.types.arguments`), and where the class is not of `kind`.
    """
    config = {k: v for k, v in config.items() if k not in DECLARED}
    target = find_target(str(config.get("_target_", "")), where)
    if isinstance(target, type):
        _check_kind(target, kind, where, config)
    accepted = parameters(target)
    arguments = {k: v for k, v in config.items() if k != "_target_"}
    for name in arguments:
        if name not in accepted:
            raise UserError(f"{where}.{name}: {target.__name__} takes no such argument; {nearest(name, accepted)}")
    uses = {k: p for k, p in (services or {}).items() if k in accepted and k not in arguments}
    for name, hint in annotations_of(target).items():
        nested = next((h for h in get_args(hint) or (hint,) if isinstance(h, type) and issubclass(h, Component)), None)
        if nested and arguments.get(name) is not None:
            key = f"{where}.{name}"
            uses[name] = build(_with_target(arguments.pop(name), key), key, nested, services)
    check_arguments(target, arguments, where)
    missing = [
        n for n, p in accepted.items() if p.default is inspect.Parameter.empty and n not in arguments and n not in uses
    ]
    if missing:
        raise UserError(f"{where}: {target.__name__} needs {' and '.join(f'{where}.{n}=...' for n in missing)}")
    built = target(**arguments, **{k: p.built for k, p in uses.items()})
    _check_kind(type(built), kind, where, config)
    return Part(config, built, uses)


def _with_target(config: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise UserError(f"{where}={config}: must be a component, with a _target_; see docs/extraction.md")
    return config


def _check_kind(cls: type, kind: type[Component], where: str, config: Mapping[str, Any]) -> None:
    if not issubclass(cls, kind):
        raise UserError(
            f"{where}._target_={config['_target_']}: is no {kind.__name__}; name a class that inherits from "
            f"{kind.__module__}.{kind.__qualname__}"
        )


def find_target(path: str, where: str) -> Any:
    """The class (or function) that a dotted path names."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_={path}: cannot be imported ({error})") from error


def build_parts(config: Mapping[str, Any]) -> Parts:
    """Build all components of a resolved config."""
    benchmark, prompts = (
        build(config["benchmark"], "benchmark", Benchmark),
        build(config["prompts"], "prompts", Prompts),
    )
    model, phrases = build(config["model"], "model", Model), build(config["phrases"], "phrases", PhraseFinder)
    segmenter, judge = build(config["segmenter"], "segmenter", Segmenter), build(config["judge"], "judge", Judge)
    services: dict[str, Part[Any]] = {"model": model, "phrases": phrases, "segmenter": segmenter, "judge": judge}
    extraction = config["extraction"]
    extractors = {
        k: build(c, f"extraction.extractors.{k}", Extractor, services) for k, c in extraction["extractors"].items()
    }
    selectors = {
        k: build(c, f"extraction.selectors.{k}", Selector, services) for k, c in extraction["selectors"].items()
    }
    rows = {}
    for row, pair in extraction["rows"].items():
        extractor, selector = pair["extractor"], pair["selector"]
        for name, components, kind in ((extractor, extractors, "extractor"), (selector, selectors, "selector")):
            if name not in components:
                raise UserError(
                    f"extraction.rows.{row}.{kind}={name}: no such {kind}; {nearest(str(name), components)}"
                )
        rows[row] = (extractor, selector)
    analyses = {k: build(c, f"analyses.{k}", Analysis, services) for k, c in config["analyses"].items()}
    return Parts(benchmark, prompts, model, extractors, selectors, judge, rows, analyses)


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprint of each stage's store. extract: per extractor; select: per (extractor, selector)."""

    generate: str
    grade: str
    extract: Mapping[str, str]
    select: Mapping[tuple[str, str], str]


def fingerprints(parts: Parts) -> Fingerprints:
    """Hash each stage's own config and content together with the fingerprints of the stages that it depends on.

    The contents of examples (images, texts, masks) are hashed record by record instead.
    """
    generate = fingerprint(stage="generate", model=parts.model.identity())
    grade = fingerprint(stage="grade", judge=parts.judge.identity(), generate=generate)
    extract = {
        name: fingerprint(stage="extract", extractor=part.identity(), generate=generate)
        for name, part in parts.extractors.items()
    }
    select = {
        (e, s): fingerprint(stage="select", selector=parts.selectors[s].identity(), extract=extract[e])
        for e, s in parts.rows.values()
    }
    return Fingerprints(generate, grade, extract, select)
