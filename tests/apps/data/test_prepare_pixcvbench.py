"""PixCV-Bench is made of CV-Bench's table, which holds the pictures, and of the released annotations."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixfound.apps.data.datasets import PIXCVBENCH
from pixfound.apps.data.prepare import prepare
from pixfound.benchmarks.pixcvbench import read_drafts
from pixfound.benchmarks.pixcvbench_files import IMAGES
from pixfound.errors import UserError
from tests.apps.data.test_prepare import command
from tests.benchmarks.test_pixcvbench import HERE, questions_for
from tests.support.hub_server import HubServer, Repo

PARQUET = "test_2d.parquet"


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (12, 10), (number % 256, number // 8 % 256, 7)).save(stream, "JPEG" if number % 2 else "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """CV-Bench's 2D rows with their pictures as `datasets` stores them."""
    if not (HERE / "Objects.csv").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixcvbench/")
    found = questions_for(HERE / "Objects.csv")[:-1]
    return [{**row, "image": {"bytes": picture(n), "path": None}} for n, row in enumerate(found)]


def as_parquet(rows: list[dict[str, Any]], path: Path) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason='reading parquet needs pip install "pixfound[cvbench]"')
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    return path.read_bytes()


def test_from_the_hub(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    names = ("Objects.csv", "ADE20K/FinalSegmentations.json", "COCO/FinalSegmentations.json")
    table = as_parquet(rows, tmp_path / PARQUET)
    repos = {
        "nyu-visionx/CV-Bench": Repo({PARQUET: table, "test_3d.parquet": b"3D"}, lfs=frozenset([PARQUET])),
        "IVUlab/pixcvbench": Repo({name: (HERE / name).read_bytes() for name in names}),
    }
    root = tmp_path / "PixCVBench"
    with HubServer(repos) as hub:
        done = command("prepare", "pixcvbench", "--root", root, endpoint=hub.url)
        assert done.returncode == 0, done.stderr
        assert set(hub.gets) == {PARQUET, *names}
    assert len(read_drafts(root, "all", None)[0]) == 1438
    assert (root / IMAGES["ADE20K"] / "ADE_val_00000248.jpg").read_bytes() == picture(0)
    assert (root / IMAGES["COCO"] / "000000135902.jpg").read_bytes() == picture(633)
    noted = json.loads((root / "pixfound-data.json").read_text())["files"]
    assert len(noted) == 4 + 1438
    assert noted[f"{IMAGES['COCO']}/000000135902.jpg"]["source"] == "CV-Bench/test.parquet"
    (root / IMAGES["COCO"] / "000000135902.jpg").unlink()
    checked = command("verify", "pixcvbench", "--root", root)
    assert checked.returncode == 2
    assert f"{root}/COCO/coco/images/000000135902.jpg: missing; get it from the pictures inside" in checked.stdout
    assert command("prepare", "pixcvbench", "--root", root).returncode == 0, "the table that is there has it"


def test_from_copies_with_the_small_table(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Pictures of ADE20K and COCO themselves, in folders as these come."""
    places = {"ADE20K": "ADEChallengeData2016/images/validation", "COCO": "val2017"}
    for number, row in enumerate(rows):
        path = tmp_path / "copies" / places[row["source"]] / Path(row["source_filename"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    lines = [json.dumps({name: value for name, value in row.items() if name != "image"}) for row in rows]
    (tmp_path / "copies/test_2d.jsonl").write_text("\n".join(lines))
    done = prepare(PIXCVBENCH, tmp_path / "set", [HERE, tmp_path / "copies"])
    assert done.sources == {"copies": 4 + 1438}
    assert (tmp_path / "set/CV-Bench/test.jsonl").is_file()
    assert prepare(PIXCVBENCH, tmp_path / "set").was_complete


def test_the_pictures_in_the_table_go_before_others(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Those of ADE20K and COCO have no red boxes; they stand in for what the table lacks."""
    (tmp_path / "copies").mkdir()
    as_parquet([{**row, "image": None} if n == 3 else row for n, row in enumerate(rows)], tmp_path / "copies" / PARQUET)
    for number in (2, 3):
        (tmp_path / "copies" / rows[number]["source_filename"]).write_bytes(picture(99))
    prepare(PIXCVBENCH, tmp_path / "set", [HERE, tmp_path / "copies"])
    pictures = tmp_path / "set" / IMAGES["ADE20K"]
    assert (pictures / rows[2]["source_filename"]).read_bytes() == picture(2)
    assert (pictures / rows[3]["source_filename"]).read_bytes() == picture(99)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 and more", r"set/CV-Bench/test.parquet: is no readable parquet file"),
        (None, r"ADE20K/validation/images: 633 files are missing \(ADE_val_00000248.jpg"),
    ],
)
def test_a_table_without_pictures(
    content: bytes | None, message: str, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    bare = [{name: value for name, value in row.items() if name != "image"} for row in rows]
    (tmp_path / "copies").mkdir()
    as_parquet(bare, tmp_path / "copies" / PARQUET)
    if content:
        (tmp_path / "copies" / PARQUET).write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare(PIXCVBENCH, tmp_path / "set", [HERE, tmp_path / "copies"])
    assert [path.name for path in tmp_path.iterdir()] == ["copies"]


def test_without_pyarrow_it_is_said_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r'pip install "pixfound\[cvbench\]"'):
        prepare(PIXCVBENCH, tmp_path / "set", [])
    assert not list(tmp_path.iterdir())
