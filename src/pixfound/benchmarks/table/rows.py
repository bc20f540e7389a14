"""Rows of tables: Parquet, JSON, JSON lines, CSV, TSV, image folders with metadata, datasets on the Hugging Face Hub.

A cell is found by its column's name or by a path into nested values: `conversations.0.value`, `answers.*.answer` (of
all elements), `shapes.[label=target].points` (of the elements whose field is so). `pair?` is null where the file has no
such column; `*` means all that there are. Columns that no file has:

    @number   place of the row in its file, from 0
    @pair     name of the pair, where each two rows that follow each other are one
    @key      key of the row, in a JSON object of rows
    @stem     path of the file without its ending, from the folder that was given
    @folder   name of the file's folder
    @split    name of the file up to its first hyphen or dot, which is the split of the Hub's Parquet files
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pixfound.benchmarks.table.cell_images import ParquetCell
from pixfound.errors import UserError, nearest
from pixfound.io.tables import longest_field, table_rows
from pixfound.io.text_files import json_lines, read_json

KINDS = (".parquet", ".json", ".jsonl", ".csv", ".tsv")
_METADATA = (
    "metadata.parquet",
    "metadata.jsonl",
    "metadata.csv",
)  # of an image folder, as the package `datasets` has it
_PREPARED = "pixfound-data.json"  # the list of checksums of `pixfound-data prepare`, which *.json would match
HUB = "hf://datasets/"
_HUB_PATH = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)")  # as huggingface_hub writes them
_LONGEST = 2**31 - 1  # characters of a CSV field: a picture in base64 has millions
_FILTER = re.compile(r"\[(\w+)(=|~)(.*)\]")


class Fault(ValueError):
    """A row that is no example. column: where it is wrong; value: what stands there; cure: what to do."""

    def __init__(self, what: str, cure: str = "", column: str = "", value: Any = None) -> None:
        self.what, self.cure, self.column, self.value = what, cure, column.removesuffix("?"), value
        shown = "" if value is None else f": {_short(value)}"
        place = f"column `{self.column}`{shown} " if column else ""
        super().__init__(f"{place}{what}" + (f"; {cure}" if cure else ""))


@dataclass(frozen=True, slots=True)
class Row:
    """One row. where: file and line, for messages. values: by column."""

    where: str
    values: Mapping[str, Any]

    def cell(self, path: str) -> Any:
        """The value at a column or path, None where a nested value is missing; raises Fault for an unknown column."""
        if path in self.values:
            return self.values[path]
        if path.endswith("?"):
            return self.cell(path[:-1]) if self.has(path) else None
        column, *steps = path.split(".")
        if column not in self.values:
            columns = [name for name in self.values if not name.startswith("@")]
            raise Fault(f"there is no column `{column}`", f"{nearest(column, columns, columns)}, or null for none")
        return _follow(self.values[column], steps)

    def has(self, path: str) -> bool:
        """True unless the column of a path may be missing (`COLUMN?`) and is."""
        return not path.endswith("?") or path[:-1].split(".", maxsplit=1)[0] in self.values


def read_rows(source: str | Sequence[str], columns: Collection[str], inside: str | None = None) -> Iterator[Row]:
    """The rows of files, one by one, in the order of their names.

    source: a file, a folder with metadata, a pattern such as `DIR/**/*.json`, several of these, or
    `hf://datasets/OWNER/NAME[@REVISION]/PATTERN`. columns: those that are looked at; Parquet files are read no further.
    inside: path of the list of rows in a JSON file.
    """
    sources = [source] if isinstance(source, str) else list(source)
    files = [(root, file) for text in sources for root, file in find_files(text)]
    for root, file in files:
        more = {"@stem": file.relative_to(root).with_suffix("").as_posix(), "@folder": file.parent.name}
        more["@split"] = re.split(r"[-.]", file.name)[0]
        for number, (line, values) in enumerate(_read(file, columns, inside)):
            pair = f"{more['@stem']}-{number // 2}"
            yield Row(f"{file}, {line}", {**more, "@number": number, "@pair": pair, **values})


def find_files(source: str) -> list[tuple[Path, Path]]:
    """(folder that was given, file) for each file that a source names; UserError where there is none."""
    path = _from_hub(source) if source.startswith(HUB) else Path(source).expanduser()
    if path.is_file():
        files = [(path.parent, path)]
    elif path.is_dir():
        files = [(path, path / name) for name in _METADATA if (path / name).is_file()][:1]
        if not files:
            raise UserError(
                f"benchmark.rows={source}: is a folder without {' or '.join(_METADATA)}; give a file or DIR/*.json"
            )
    else:
        parts = path.parts
        fixed = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
        root = Path(*parts[:fixed])
        found = sorted(root.glob(str(Path(*parts[fixed:]))))
        files = [(root, file) for file in found if file.is_file() and file.name != _PREPARED]
    if not files:
        raise UserError(
            f"benchmark.rows={source}: there is no such file; give a path, or a pattern such as DIR/*.parquet"
        )
    for _, file in files:
        if file.suffix.lower() not in KINDS:
            raise UserError(f"{file}: is none of {', '.join(KINDS)}; save it as one of these")
    return files


def _read(file: Path, columns: Collection[str], inside: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(line or row, values) of one file."""
    kind = file.suffix.lower()
    try:
        if kind == ".parquet":
            yield from _parquet(file, columns)
        elif kind == ".jsonl":
            rows = [(where.rpartition(", ")[2], row) for where, row in json_lines(file, f"benchmark.rows={file}")]
            yield from _with_all_keys(rows)
        elif kind == ".json":
            yield from _with_all_keys(list(_json(file, inside)))
        else:
            with longest_field(_LONGEST):
                for number, row in table_rows(file, sorted(_required(columns)), skipinitialspace=True):
                    yield f"line {number}", row
    except (json.JSONDecodeError, UnicodeError) as error:
        raise UserError(f"{file}: is no JSON ({error}); download it again") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error


def _with_all_keys(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a JSON file, with null for keys that others of them have: programs leave such out."""
    keys = dict.fromkeys(key for _, row in rows for key in row)
    yield from ((where, {**keys, **row}) for where, row in rows)


def _json(file: Path, inside: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    data = read_json(file)
    if inside:
        data = _follow(data, inside.split("."))
    if isinstance(data, list):
        for number, value in enumerate(data):
            yield f"entry {number}", _object(value, f"{file}, entry {number}")
    elif isinstance(data, dict) and data and all(isinstance(value, dict) for value in data.values()):
        for key, value in data.items():
            yield f"entry {key!r}", {"@key": key, **value}
    elif isinstance(data, dict):
        yield "entry 0", data
    else:
        at = f"has no rows at {inside!r}" if inside else "holds neither a list nor an object of rows"
        raise UserError(f"{file}: {at}; benchmark.inside=a.b names the list in it")


def _parquet(file: Path, columns: Collection[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a Parquet file, one row group after the other; bytes are `ParquetCell`s, which hold their position."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(f'{file}: Parquet needs pyarrow: pip install "pixfound[cvbench]"') from error
    try:
        table = pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise UserError(f"{file}: is no Parquet file ({error}); download it again") from error
    existing = table.schema_arrow.names
    for name in _required(columns):
        if name not in existing:
            raise UserError(
                f"{file}: there is no column `{name}`; {nearest(name, existing, existing)}, or null for none"
            )
    wanted = {column.split(".")[0].removesuffix("?") for column in columns}
    names = [name for name in existing if name in wanted or "*" in wanted]
    number = 0
    for group in range(table.num_row_groups):
        chunk = table.read_row_group(group, columns=names)
        lists = {name: chunk.column(name).to_pylist() for name in names}
        for place in range(chunk.num_rows):
            cells = {n: _stored(values[place], file, group, place, n) for n, values in lists.items()}
            yield f"row {number}", cells
            number += 1


def _stored(value: Any, file: Path, group: int, place: int, column: str, element: int | None = None) -> Any:
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        value = value["bytes"]
    if isinstance(value, bytes):
        return ParquetCell(str(file), group, place, column, element, value)
    if isinstance(value, list) and element is None and value and isinstance(value[0], bytes | dict):
        return [_stored(part, file, group, place, column, index) for index, part in enumerate(value)]
    return value


def _required(columns: Collection[str]) -> set[str]:
    """The columns of some paths, without those that no file has or that may be missing."""
    return {column.split(".")[0] for column in columns if not column.startswith(("@", "*")) and column[-1:] != "?"}


def _from_hub(source: str) -> Path:
    """The path, or the pattern, of a Hub dataset's files in the cache, to which they are downloaded."""
    match = _HUB_PATH.fullmatch(source)
    if not match:
        raise UserError(
            f"benchmark.rows={source}: give it as hf://datasets/OWNER/NAME/PATTERN, the revision as NAME@REVISION"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    repo, revision, pattern = match.groups()
    try:
        folder = snapshot_download(
            repo, repo_type="dataset", revision=revision and unquote(revision), allow_patterns=pattern
        )
    except GatedRepoError as error:
        raise UserError(
            f"{source}: is gated; ask for access at https://huggingface.co/datasets/{repo} and set HF_TOKEN"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{source}: cannot be downloaded ({str(error).splitlines()[0]}); give a local file instead"
        ) from error
    return Path(folder) / pattern


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: is {_short(value)}, and no object of columns")
    return value


def _follow(value: Any, steps: Sequence[str]) -> Any:
    for place, step in enumerate(steps):
        if isinstance(value, list) and (step == "*" or _FILTER.fullmatch(step)):
            return [_follow(element, steps[place + 1 :]) for element in value if step == "*" or _fits(element, step)]
        if isinstance(value, list) and step.lstrip("-").isdecimal():
            value = value[int(step)] if -len(value) <= int(step) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def _fits(value: Any, step: str) -> bool:
    """`[field=text]`: the field is that text; `[field~text]`: it holds it."""
    name, sign, text = _FILTER.fullmatch(step).groups()  # type: ignore[union-attr]
    field = str(value.get(name, "")) if isinstance(value, Mapping) else ""
    return field == text if sign == "=" else text in field


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
