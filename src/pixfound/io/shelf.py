"""What is too much for memory and may be forgotten with the process lies in temporary files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

from pixfound.errors import UserError

T = TypeVar("T")
_ENCODE = json.JSONEncoder(check_circular=False).encode
_DECODE = json.JSONDecoder().decode
_CACHE = 128  # KiB of a file that are kept in memory
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE}")  # no other process ever reads it


class Scratch:
    """Tables of a temporary file of SQLite's own.

    Nobody else sees it, it is gone when the process is, and there is none while all fits into the cache. Threads may
    share it. Raises UserError where the disk is full.
    """

    def __init__(self, *tables: str) -> None:
        self._lock = Lock()
        self._file = sqlite3.connect("", check_same_thread=False)
        self._cursor = self._file.cursor()
        for statement in (*(f"PRAGMA {setting}" for setting in _SETTINGS), *(f"CREATE TABLE {t}" for t in tables)):
            self.run(statement)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """The rows that a statement gives."""
        try:
            with self._lock:
                return self._cursor.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def fill(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement with the values of every row."""
        try:
            with self._lock:
                self._cursor.executemany(statement, rows)
        except sqlite3.OperationalError as error:
            raise _full(error) from error

    def each(self, query: str, *values: Any) -> Iterator[Any]:
        """The rows of a query, one by one."""
        try:
            yield from self._file.execute(query, values)
        except sqlite3.OperationalError as error:
            raise _full(error) from error


def _full(error: sqlite3.OperationalError) -> UserError:
    return UserError(
        f"the temporary file for what does not fit into memory cannot be written ({error}): make room, or set TMPDIR "
        "(or SQLITE_TMPDIR) to a folder on a disk that has some"
    )


class Shelf(Mapping[str, T], Generic[T]):
    """What `read` makes of the JSON values that were added to a key, whenever that is asked for.

    Values are in the order in which they were added, and keys in the order of their first values. They lie in a
    `Scratch`.
    """

    def __init__(self, read: Callable[[list[Any]], T]) -> None:
        self._read, self._added = read, 0
        table = "kept (key BLOB, place INTEGER, value TEXT, PRIMARY KEY (key, place)) WITHOUT ROWID"
        self._scratch = Scratch(table)
        self._run = self._scratch.run

    def add(self, key: str, value: Any) -> None:
        """Put a value behind those that are there under the key."""
        self._added += 1
        self._run("INSERT INTO kept VALUES (?, ?, ?)", _bytes(key), self._added, _ENCODE(value))

    def added(self, key: str) -> list[Any]:
        """The values that were added to a key; [] where there are none."""
        rows = self._run("SELECT value FROM kept WHERE key = ? ORDER BY place", _bytes(key))
        return [_DECODE(value) for (value,) in rows]

    def sorted(self) -> Iterator[str]:
        """The keys in the order of `sorted`."""
        return self._keys("SELECT DISTINCT key FROM kept ORDER BY key")

    def __getitem__(self, key: str) -> T:
        values = self.added(key)
        if not values:
            raise KeyError(key)
        return self._read(values)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._run("SELECT 1 FROM kept WHERE key = ? LIMIT 1", _bytes(key)))

    def __iter__(self) -> Iterator[str]:
        return self._keys("SELECT key FROM kept GROUP BY key ORDER BY MIN(place)")

    def __len__(self) -> int:
        return int(self._run("SELECT COUNT(DISTINCT key) FROM kept")[0][0])

    def __bool__(self) -> bool:
        return self._added > 0

    def _keys(self, query: str) -> Iterator[str]:
        for (key,) in self._scratch.each(query):
            yield _text(key)


class Numbers(Mapping[str, int]):
    """Names with their numbers from 0, in the order in which they were first asked for. They lie in a `Scratch`."""

    def __init__(self) -> None:
        self._scratch = Scratch("numbers (name BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._count = 0
        self._last: tuple[str | None, int] = (None, 0)  # the one that was asked for last often is so again

    def number(self, name: str) -> int:
        """The number of a name, the next one where it has none yet."""
        if name != self._last[0]:
            number = self.get(name, self._count)
            if number == self._count:
                self._scratch.run("INSERT INTO numbers VALUES (?, ?)", _bytes(name), number)
                self._count += 1
            self._last = name, number
        return self._last[1]

    def __getitem__(self, name: str) -> int:
        for (number,) in self._scratch.run("SELECT number FROM numbers WHERE name = ?", _bytes(name)):
            return int(number)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._scratch.each("SELECT name FROM numbers ORDER BY number"):
            yield _text(name)

    def __len__(self) -> int:
        return self._count


def _bytes(key: str) -> bytes:
    """A key as it is kept: any text can be, also half of a surrogate pair."""
    return key.encode("utf-8", "surrogatepass")


def _text(kept: bytes) -> str:
    return kept.decode("utf-8", "surrogatepass")
