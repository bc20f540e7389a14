"""The stores of a run's stages, and the records in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixfound.config.factory import Fingerprints, Parts
from pixfound.io.atomic import make_folder
from pixfound.pipeline.run_examples import RunExample
from pixfound.store.store import Record, Store
from pixfound.types import Kind

TOGETHER = 16  # examples that go to a judge, or to a selector, together


@dataclass(frozen=True)
class Stores:
    """The stores of a run's stages. extract: per extractor; select: per (extractor, selector)."""

    generate: Store
    grade: Store
    extract: Mapping[str, Store]
    select: Mapping[tuple[str, str], Store]

    def generation_of(self, run_example: RunExample, kind: Kind) -> Record | None:
        """The record of an example's generation."""
        return self.generate.get(run_example.key(kind), run_example.generate_digest(kind))

    def grade_of(self, run_example: RunExample) -> Record | None:
        """The record of the judge's grade of an example's open answer."""
        return self.grade.get(run_example.key("open"), run_example.grade_digest("open"))

    def candidates_of(self, run_example: RunExample, kind: Kind, extractor: str) -> Record | None:
        """The record of what an extractor proposed."""
        return self.extract[extractor].get(run_example.key(kind), run_example.extract_digest(kind))

    def choice_of(self, run_example: RunExample, kind: Kind, pair: tuple[str, str]) -> Record | None:
        """The record of a choice. pair: the extractor and the selector."""
        return self.select[pair].get(run_example.key(kind), run_example.select_digest(kind))

    def of(self, stage: str) -> list[Store]:
        """The stores that a stage writes."""
        stores = getattr(self, stage)
        return [stores] if isinstance(stores, Store) else list(dict.fromkeys(stores.values()))

    def all(self) -> list[Store]:
        """Every store once."""
        return [self.generate, self.grade, *self.extract.values(), *self.select.values()]

    def close(self) -> None:
        """Close the journals of every store."""
        for store in self.all():
            store.close()


def open_stores(parts: Parts, prints: Fingerprints, outputs: Path, rank: int = 0) -> Stores:
    """The stores of a run's stages under a folder of outputs, made where they do not exist, not read yet."""

    def made(stage: str, name: str) -> Store:
        store = Store(outputs / "stages" / stage / name, rank)
        make_folder(store.folder)
        return store

    return Stores(
        made("generate", prints.generate),
        made("grade", prints.grade),
        {name: made("extract", prints.extract[name]) for name in parts.extractors},
        {pair: made("select", name) for pair, name in prints.select.items()},
    )


def needed(record: Record | None, run_example: RunExample, kind: Kind) -> Record:
    """A record that a task was made of, read only now: many tasks wait at once."""
    if record is None:
        raise LookupError(f"there is no record of {run_example.key(kind)} any more: run the same command again")
    return record
