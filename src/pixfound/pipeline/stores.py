"""The stores of a run's stages, and the records in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixfound.store.store import Record, Store

TOGETHER = 16  # examples that go to a judge, or to a selector, together


@dataclass(frozen=True)
class Stores:
    """The stores of a run's stages. extract: per extractor; select: per (extractor, selector)."""

    generate: Store
    grade: Store
    extract: Mapping[str, Store]
    select: Mapping[tuple[str, str], Store]

    def of(self, stage: str) -> list[Store]:
        """The stores that a stage writes."""
        found = getattr(self, stage)
        return [found] if isinstance(found, Store) else list(dict.fromkeys(found.values()))

    def all(self) -> list[Store]:
        """Every store once."""
        return [self.generate, self.grade, *self.extract.values(), *self.select.values()]


def record_of(store: Store, key: str, digest: str) -> Record:
    """A record that a task was made of, read only now: many tasks wait at once."""
    record = store.get(key, digest)
    if record is None:
        raise LookupError(f"{store.folder} has no record of {key} any more: run the same command again")
    return record
