"""Tables as spreadsheets and other systems leave them: read as they are meant, or said where and what is wrong."""

from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.errors import UserError
from pixfound.io.tables import Row, read_table, table_rows

TABLE = "Id,Object\n1,the thing\n2, a red one\n"
ROWS = {1: {"Id": "1", "Object": "the thing"}, 2: {"Id": "2", "Object": " a red one"}}


def read(folder: Path, content: bytes) -> dict[int, Row]:
    (folder / "t.csv").write_bytes(content)
    return read_table(folder / "t.csv", ("Id", "ld"), ("Object",))


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.rstrip().encode(),
        (TABLE + "\n\r\n  \n").encode(),
        (TABLE + ",\n,\n").encode(),
        TABLE.replace("\n", ",,\n").encode(),
        ("\n,\n" + TABLE.replace("Id,Object", " Id , Object")).encode(),
        TABLE.replace("Id,", "ld,").encode(),
        TABLE.replace("the thing", '"the thing"').encode(),
        TABLE.replace(",", ";").encode("utf-8-sig"),
        TABLE.replace("Id,Object", '"Id";"Object"').replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode(),
        b"\xff\xfe" + TABLE.replace(",", "\t").replace("\n", "\r\n").encode("utf-16-le"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
    ],
    ids=[
        "plain", "BOM", "CRLF", "CR", "no end", "empty lines", "lines of commas", "columns without a name",
        "a header further down", "another spelling", "quotes", "semicolons", "semicolons and quotes", "tabs",
        "Excel's Unicode text", "UTF-16, the other way round",
    ],
)  # fmt: skip
def test_the_same_table_in_other_clothes(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == ROWS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"t\.csv: is no CSV table, for it is empty; its first line must name the columns"),
        (b"\n,,\n", r"t\.csv: is no CSV table, for it is empty"),
        ("Id,Object\n1,a\n2,caf\xe9\n".encode("latin-1"), r"t\.csv: is no text \(.* 0xe9 in position 19.*save it as"),
        (TABLE.encode("utf-16")[:-1], r"t\.csv: is no text \('utf-16.*; save it as CSV in UTF-8"),
        (b"Id,Object,Object\n1,a,b\n", r"t\.csv: the table has 2 columns 'Object'; remove or rename all but one"),
        (b"Id,Object,ld\n1,a,2\n", r"t\.csv: the table has 2 columns 'Id'; remove or rename all but one"),
        (b"Id,Object,note,note\n1,a,,\n", r"t\.csv: the table has 2 columns 'note'"),
        (b"Nr,Object\n1,a\n", r"t\.csv: the table has no column 'Id'"),
        (b"Id;Objetc\n1;a\n", r"t\.csv: the table has no column 'Object'; did you mean Objetc"),
        (b'Id,Object\n1,"a\nb"\nx,c\n', r"t\.csv, line 4: Id 'x' is no number"),
        (b"Id,Object\n-5,a\n", r"t\.csv, line 2: Id '-5' is no number"),
        (b"Id,Object\n1_000,a\n", r"t\.csv, line 2: Id '1_000' is no number"),
        (b"Id,Object\n" + b"9" * 5000 + b",a\n", r"t\.csv, line 2: Id '9+' is no number"),
        (b'Id,Object\n\n1,"a\r\nb"\r\n1,c\n', r"t\.csv, line 5: Id 1 stands in an earlier line too"),
        (b"Id,Object\n1,a,b\n", r"t\.csv, line 2: has 3 fields, the header 2; put quotes around values with commas"),
        (b"Id;Object\n1;a;b\n", r"t\.csv, line 2: has 3 fields, .* put quotes around values with semicolons"),
        (b'Id,Object\n1,a\n2,"b\n3,c\n', r"t\.csv, line 3: is no CSV table \(unexpected end of data\)"),
        (b"Id,Object\n1,a\n2," + b"b" * 1_000_000, r"t\.csv, line 3: is no CSV table \(field larger than"),
        (b"Id,Object\n1\0,a\n", r"t\.csv, line 2: Id '1\\x00' is no number"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_is_wrong_is_said_with_its_line(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        read(tmp_path, content)


SIGNS = st.characters(codec="utf-8", exclude_characters="\r")  # it ends a line, and those are all read as \n


@given(
    st.lists(st.text(SIGNS), max_size=6),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_what_a_program_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], separator: str, encoding: str, quoting: int
) -> None:
    """The writer is Python's own; ends of lines and separators inside a value are kept."""
    path, stream = tmp_path_factory.getbasetemp() / "written.csv", io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([["Id", "Object"], *enumerate(texts)])
    path.write_bytes(stream.getvalue().encode(encoding))
    found = read_table(path, ("Id",), ("Object",))
    assert [row["Object"] for row in found.values()] == texts


def test_spaces_that_values_begin_with(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('Id, Object\n1, "the thing, red"\n')
    assert list(table_rows(tmp_path / "t.csv", ("Id",), skipinitialspace=True)) == [
        (2, {"Id": "1", "Object": "the thing, red"})
    ]


def test_memory_is_that_of_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Id,Object\n" + "".join(f"{i},the thing\n" for i in range(100_000)))
    tracemalloc.start()
    try:
        assert sum(int(row["Id"]) for _, row in table_rows(tmp_path / "t.csv", ("Id",))) == sum(range(100_000))
        assert tracemalloc.get_traced_memory()[1] < 500_000  # of 1.6 MB
    finally:
        tracemalloc.stop()
