"""Presets prepared from a Hub on loopback: archives unpacked, nothing half written, sets elsewhere named."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.config.factory import build
from tests.apps.data.test_prepare import command
from tests.support.hub_server import COMMIT, Fault, HubServer, Repo
from tests.support.run import config_of


def png() -> bytes:
    stream = BytesIO()
    Image.new("L", (20, 10), 255).save(stream, "PNG")
    return stream.getvalue()


def archive(**files: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def test_a_preset_is_prepared_and_read(tmp_path: Path) -> None:
    root = tmp_path / "PointBench"
    row = {"user_input": "Point", "category": "a", "image_filename": "x.png", "mask_filename": "m.png", "count": 1}
    files = {
        "data.json": json.dumps([row]).encode(),
        "selected_images.zip": archive(**{"selected_images__x.png": png()}),
        "selected_masks.zip": archive(**{"m.png": png()}),
        "other.bin": b"x",
    }
    with HubServer({"PointArena/pointarena-data": Repo(files)}) as hub:
        hub.faults["data.json"] = [Fault(status=404)]
        first = command("prepare", "pointbench", "--root", root, endpoint=hub.url)
        assert first.returncode == 2
        assert not root.exists() or [path.name for path in root.iterdir()] == [".partial"]
        done = command("prepare", "pointbench", "--root", root, endpoint=hub.url)
        assert done.returncode == 0, done.stderr
        assert f"PointArena/pointarena-data at {COMMIT}" in done.stdout
        assert "licence: see its card" in done.stdout
        assert "checksums of the released files are not known" in done.stdout
        hub.gets.clear()
        again = command("prepare", "pointbench", "--root", root, endpoint=hub.url)
        assert "nothing to do" in again.stdout
        assert not hub.gets
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert names == {"data.json", "selected_images/x.png", "selected_masks/m.png", "pixfound-data.json"}
    config = config_of("benchmark=pointbench", f"benchmark.root={root}")
    table = build(config["benchmark"], "benchmark", PairedTable).built
    assert [example.gt_mask.area for example in table] == [200]


def test_sets_that_are_elsewhere_say_where(tmp_path: Path) -> None:
    for name, words in (("vizwiz_grounding", "vizwiz.org"), ("reasonseg", "dvlab-research/LISA"), ("gsevl", "gseval")):
        done = command("prepare", name, "--root", tmp_path / name, endpoint="http://127.0.0.1:1")
        assert done.returncode == 2
        assert words in done.stderr
    with HubServer({"deepcs233/Visual-CoT": Repo({"gqa.json": b"[]"})}) as hub:
        done = command("prepare", "visual_cot", "--root", tmp_path / "v", endpoint=hub.url)
        assert "deepcs233/Visual-CoT, gqa.json: is not as released" in done.stderr
        assert not (tmp_path / "v/gqa.json").exists()
    with HubServer({"hustvl/GSEval": Repo({}, error=(403, "GatedRepo"))}) as hub:
        done = command("prepare", "gseval", "--root", tmp_path / "g", endpoint=hub.url)
        assert "hustvl/GSEval: ask for access at" in done.stderr
