"""The options of a run that belong to no component, checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pixfound.errors import UserError

_LONGEST = 200  # bytes of a name: file systems take 255, and temporary names are longer


@dataclass(frozen=True)
class Settings:
    """Top-level options of a run.

    limit: number of examples to evaluate, None for all; a pair is never split. batch_size: number of prompts generated
    together, or auto. max_failures: number of failures before the run ends. tables: formats of the table
    in the paper's layout. published: files of others' figures. names: the chosen option of each config group.
    """

    limit: int | None
    batch_size: BatchSize
    seed: int
    outputs_dir: Path
    max_failures: int
    pictures: int
    page: bool
    charts: bool
    tables: Sequence[TableFormat]
    published: Sequence[str]
    names: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.limit is not None:
            _at_least("limit", self.limit, 1, "leave it out (limit=null) to take all examples")
        if self.batch_size != "auto":
            _at_least("batch_size", self.batch_size, 1, "8 is a good start, or auto for as many as fit into memory")
        _at_least("seed", self.seed, 0, "any whole number from 0 on")
        _at_least("max_failures", self.max_failures, 0, "0 ends the run at the first failure")
        for name, value in (("page", self.page), ("charts", self.charts)):
            if not isinstance(value, bool):
                raise UserError(f"report.{name}={value}: type true or false")
        check_tables(self.tables)
        if not isinstance(self.published, list | tuple) or not all(isinstance(path, str) for path in self.published):
            raise UserError(f"report.published={self.published}: type the paths of YAML files, as [mine.yaml]")
        _at_least("report.pictures", self.pictures, 0, "0 leaves the picture sheet out")
        check_names(self.names)

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Settings:
        """Read the top level of a resolved config."""
        return Settings(
            limit=config["limit"],
            batch_size=config["batch_size"],
            seed=config["seed"],
            outputs_dir=outputs_folder(config),
            max_failures=config["max_failures"],
            pictures=config["report"]["pictures"],
            page=config["report"].get("page", False),
            charts=config["report"].get("charts", False),
            tables=config["report"].get("tables", ()),
            published=config["report"].get("published", ()),
            names=config["names"],
        )


def outputs_folder(config: Mapping[str, Any]) -> Path:
    """The folder under `outputs_dir` of a resolved config; a number is a valid name."""
    folder = config["outputs_dir"]
    if isinstance(folder, bool) or not isinstance(folder, str | int | float):
        raise UserError(f"outputs_dir={folder}: give the name of a folder, in double quotes where it holds brackets")
    return Path(str(folder)).expanduser()


def check_names(names: Mapping[str, Any]) -> None:
    """Raise UserError where a name is not a path inside the outputs folder; a/b is a nested folder."""
    for key, name in names.items():
        parts = str(name).split("/")
        inside = all(part.isprintable() and part.strip() and part not in (".", "..") for part in parts)
        if not isinstance(name, str) or not inside or len(name.encode()) > _LONGEST:
            raise UserError(
                f"names.{key}={str(name)[:80]}: it names a folder of the outputs: give a word, as names.{key}=mine, or "
                f"two with / between them; no .., no / in front, at most {_LONGEST} bytes"
            )


def check_tables(tables: Any) -> None:
    """Raise UserError where `report.tables` is no list of formats."""
    if not isinstance(tables, list | tuple) or any(name not in TABLE_FORMATS for name in tables):
        raise UserError(f"report.tables={tables}: type [csv], [latex], [csv,latex] or []")


def _at_least(name: str, value: Any, least: int, advice: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name}={value}: must be a whole number of at least {least}; {advice}")


BatchSize = int | Literal["auto"]
TableFormat = Literal["csv", "latex"]
TABLE_FORMATS: tuple[TableFormat, ...] = ("csv", "latex")
