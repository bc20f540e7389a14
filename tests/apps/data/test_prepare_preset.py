"""Presets prepared from a Hub on loopback: archives unpacked, nothing half written, sets elsewhere named."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.data.prepare_preset import prepare_preset, presets
from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.benchmarks.table.rows import find_files
from pixfound.config.factory import build
from pixfound.errors import UserError
from tests.apps.data.test_prepare import command
from tests.support.hub_server import COMMIT, Fault, HubServer, Repo
from tests.support.run import config_of

NAME = "e\u0301.png"


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
    row = {"user_input": "Point", "category": "a", "image_filename": "é.png", "mask_filename": "m.png", "count": 1}
    files = {
        "data.json": json.dumps([row]).encode(),
        # As macOS writes them: the accent apart, and without the mark of UTF-8.
        "selected_images.zip": archive(**{f"selected_images__a__{NAME}": png()}).replace(
            b"\x14\0\0\x08", b"\x14\0\0\0"
        ),
        "selected_masks.zip": archive(**{"a__m.png": png()}),
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
    assert names == {"data.json", f"selected_images/a/{NAME}", "selected_masks/a/m.png", "pixfound-data.json"}
    config = config_of("benchmark=pointbench", f"benchmark.root={root}")
    table = build(config["benchmark"], "benchmark", PairedTable).built
    assert [example.gt_mask.area for example in table] == [200]
    assert table[0].image.load().size == (20, 10)


def test_a_set_of_another_host_is_fetched_in_pieces_and_never_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # between attempts
    noise = np.random.default_rng(0).bytes(3_000_000)
    first, second = (archive(**{"val__a.bin": content}) for content in (noise, noise[::-1]))
    repo = Repo({"val.zip": first, "val.json": b'[{"a": 1}]'})
    with HubServer({"any/host": repo}) as host:
        url = f"{host.url}/datasets/any/host/resolve/main"
        source = {"urls": [f"{url}/val.json", f"{url}/val.zip"], "size": "", "licence": ""}
        root = tmp_path / "set"
        # It breaks off in the middle, more often than is tried, each time behind where it went on.
        host.faults["val.zip"] = [Fault(cut_after=1_000_000), *[Fault(cut_after=100_000)] * 3]
        with pytest.raises(UserError, match=r"val.zip: cannot be reached, or broke off .* again to go on"):
            prepare_preset("x", source, root)
        assert [path.name for path in root.iterdir()] == [".partial"]
        prepare_preset("x", source, root)
        chunks = [int(start[6:-1]) / 2**16 for _, start in host.ranges]
        assert chunks == [15, 16, 17, 18]  # whole ones, of 1,000,000 bytes and then 100,000 each time
        names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert names == {"val/a.bin", "val.json", "pixfound-data.json"}
        assert (root / "val/a.bin").read_bytes() == noise
        assert [file for _, file in find_files(f"{root}/*.json")] == [root / "val.json"]  # not the list of checksums
        fetched = sum(host.gets.values())
        assert prepare_preset("x", source, root).was_complete
        assert sum(host.gets.values()) == fetched
        # One byte is damaged: it is seen, and what is fetched again must be what it was.
        (root / "val/a.bin").write_bytes(b"x" + noise[1:])
        verified = command("verify", "x", "--root", root)
        assert verified.returncode == 2 and "val/a.bin: has the sha256" in verified.stdout
        repo.files["val.zip"] = second
        with pytest.raises(UserError, match=r"val.zip: has the sha256 .* of before"):
            prepare_preset("x", source, root)
        repo.files["val.zip"] = first
        prepare_preset("x", source, root)
        assert command("verify", "x", "--root", root).returncode == 0
        # Half of one version is not continued with another, and what is no archive is fetched anew.
        host.ranges.clear()
        host.faults["val.zip"] = [Fault(cut_after=1_000_000)]
        repo.files["val.zip"] = second[:-9]
        with pytest.raises(UserError, match=r"val.zip: cannot be unpacked"):
            prepare_preset("x", source, tmp_path / "other")
        host.faults["val.zip"] = [Fault(cut_after=1_000_000), *[Fault(status=503)] * 3]
        with pytest.raises(UserError, match="answers with the error 503"):
            prepare_preset("x", source, tmp_path / "other")
        repo.files["val.zip"] = second
        prepare_preset("x", source, tmp_path / "other")
        assert (tmp_path / "other/val/a.bin").read_bytes() == noise[::-1]
        # Pictures that are there, such as a link to COCO's, are not fetched.
        (tmp_path / "own").mkdir()
        (tmp_path / "own/val").symlink_to(root / "val")
        host.gets.clear()
        notes = prepare_preset("x", source, tmp_path / "own").notes
        assert any("val was there, and is left as it is" in note for note in notes)
        assert dict(host.gets) == {"val.json": 1}


def test_pictures_of_urls_in_a_column_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # between attempts
    root, names = tmp_path / "toloka", [f"{number:012}.jpg" for number in range(3)]
    pictures = Repo({name: png() for name in names})
    with HubServer({"some/host": pictures}) as host:
        url = f"{host.url}/datasets/some/host/resolve/main"
        line = "{},20,10,1,2,{},8,What is it?\n".format
        table = "image,width,height,left,top,right,bottom,question\n"
        table += "".join(line(f"{url}/{name}", 5 + k) for k, name in enumerate([*names, names[0]]))
        files = {"test_private.csv": table.encode(), "train.csv": b"image\nhttp://127.0.0.1:1/never.jpg\n"}
        with HubServer({"toloka/WSDMCup2023": Repo(files)}) as hub:
            host.faults[names[1]] = [Fault(status=404)] * 4
            first = command("prepare", "toloka_wsdm2023", "--root", root, endpoint=hub.url)
            assert first.returncode == 2
            assert "answers with the error 404" in first.stderr and "(1 of 3 pictures are missing)" in first.stderr
            assert [path.name for path in root.iterdir()] == [".partial"]
            host.gets.clear()
            done = command("prepare", "toloka_wsdm2023", "--root", root, endpoint=hub.url)
            assert done.returncode == 0, done.stderr
            assert dict(host.gets) == {names[1]: 1}
            assert "3 from 127.0.0.1" in done.stdout
            assert "nothing to do" in command("prepare", "toloka_wsdm2023", "--root", root, endpoint=hub.url).stdout
    table = build(
        config_of("benchmark=toloka_wsdm2023", f"benchmark.root={root}")["benchmark"], "benchmark", PairedTable
    ).built
    assert [example.gt_mask.area for example in table] == [4 * 6, 5 * 6, 6 * 6, 7 * 6]
    assert all(example.image.load().size == (20, 10) for example in table)


def test_sets_that_are_elsewhere_say_where(tmp_path: Path) -> None:
    for name, words in (("reasonseg", "dvlab-research/LISA"), ("gsevl", "gseval")):
        done = command("prepare", name, "--root", tmp_path / name, endpoint="http://127.0.0.1:1")
        assert done.returncode == 2
        assert words in done.stderr
    with HubServer({"some/set": Repo({"gqa.json": b"[]"})}) as hub:
        url = f"{hub.url}/datasets/some/set/resolve/main/gqa.json"
        released = presets()["visual_cot"]["sha256"]
        with pytest.raises(UserError, match=r"gqa.json: has the sha256 4f53cda18c2b..., not the 433695de3681... "):
            prepare_preset("visual_cot", {"urls": [url], "sha256": released}, tmp_path / "v")
        assert not (tmp_path / "v/gqa.json").exists()
    with HubServer({"hustvl/GSEval": Repo({}, error=(403, "GatedRepo"))}) as hub:
        done = command("prepare", "gseval", "--root", tmp_path / "g", endpoint=hub.url)
        assert "hustvl/GSEval: ask for access at" in done.stderr
