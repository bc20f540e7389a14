"""A folder is verified file by file; copies are found by name and bytes; names stay inside."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pixfound.apps.data.cli import main
from pixfound.apps.data.datasets import PIXCVBENCH, PIXMMVP
from pixfound.apps.data.files import File, inside, list_files
from pixfound.apps.data.prepare import prepare
from pixfound.errors import UserError
from tests.apps.data.test_prepare import HERE, jpeg


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PixMMVP prepared from local copies alone: annotations in one folder, pictures in another."""
    if not (HERE / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    folder = tmp_path_factory.mktemp("copies")
    (folder / "pictures/some/where").mkdir(parents=True)
    for n in range(1, 301):
        (folder / f"pictures/some/where/{n}.jpg").write_bytes(jpeg(n))
    assert run("prepare", "pixmmvp", "--root", folder / "set", "--from", HERE.parent, folder / "pictures") == 0
    return folder / "set"


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


def test_copies_alone_make_a_set(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "pixmmvp", "--root", prepared) == 0
    assert "holds pixmmvp: 300 examples, every picture as prepared" in capsys.readouterr().out
    noted = json.loads((prepared / "pixfound-data.json").read_text())
    assert noted["commits"] == {}
    assert noted["files"]["MMVP Images/9.jpg"]["sha256"] == hashlib.sha256(jpeg(9)).hexdigest()


def rewrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def unlisted(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """The change, in a folder that no list of checksums vouches for."""

    def apply(root: Path) -> None:
        (root / "pixfound-data.json").unlink()
        change(root)

    return apply


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda r: (r / "Objects.csv").unlink(),
        "Objects.csv: missing; get it from https://huggingface.co/datasets/IVUlab",
    ),
    (lambda r: (r / "MMVP Images/7.jpg").unlink(), "MMVP Images/7.jpg: missing; get it from https://huggingface.co/"),
    (rewrite("MMVP Images/7.jpg", jpeg(7)[:500]), "MMVP Images/7.jpg: has 500 bytes, not the"),
    (rewrite("Segmentations.json", b"{}"), "Segmentations.json: has 2 bytes, not the 118144 that it was prepared with"),
    (
        unlisted(rewrite("Segmentations.json", b"{}")),
        "has the sha256 44136fa355b3..., not the ca101b1ed121... of the rel",
    ),
    (unlisted(rewrite("MMVP Images/7.jpg", jpeg(7)[:500])), "MMVP Images/7.jpg: is no readable picture"),
    (unlisted(rewrite("MMVP Images/7.jpg", b"")), "MMVP Images/7.jpg: is empty"),
    (unlisted(rewrite("MMVP Images/7.jpg", b"<html>")), "MMVP Images/7.jpg: is no readable picture"),
    (unlisted(rewrite("MMVP Images/7.jpg", jpeg(7, (200, 224)))), "7.jpg: is 200 x 224 pixels, not 224 x 224"),
    (rewrite("Questions.csv", b"a,b\n1,2\n"), "Questions.csv: the table has no column 'Question'"),
    (rewrite("pixfound-data.json", b"{"), "is no readable list of checksums"),
    (
        lambda r: shutil.rmtree(r / "MMVP Images"),
        "MMVP Images: 300 files are missing (1.jpg, 2.jpg, 3.jpg ...); get it",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message[:40] for _, message in DAMAGE])
def test_damage_is_named(
    damage: Callable[[Path], object],
    message: str,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = shutil.copytree(prepared, tmp_path / "set")
    damage(root)
    assert run("verify", "pixmmvp", "--root", root) == 2
    said = capsys.readouterr()
    assert message in said.out + said.err
    assert len((said.out + said.err).splitlines()) <= 2


def test_a_folder_of_another_set_is_refused(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "pixcvbench", "--root", prepared) == 2
    assert "holds pixmmvp, not pixcvbench; give another --root" in capsys.readouterr().err


def test_changed_annotations_are_taken_when_allowed(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(prepared, tmp_path / "copy")
    (copy / "pixfound-data.json").unlink()
    text = (copy / "Objects.csv").read_text()
    (copy / "Objects.csv").write_text(text + "\n")
    arguments = ("prepare", "pixmmvp", "--root", tmp_path / "set", "--from", copy)
    assert run(*arguments) == 2
    assert f"{tmp_path}/set/Objects.csv: missing, for {copy}/Objects.csv has the sha256 " in capsys.readouterr().err
    assert run(*arguments, "--allow-changed") == 0
    assert run("verify", "pixmmvp", "--root", tmp_path / "set") == 0
    assert "1 annotation file is not as released" in capsys.readouterr().out
    assert run("prepare", "pixmmvp", "--root", tmp_path / "set") == 0


def test_what_does_not_fit_together_does_not_come_back(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/Questions.csv").write_text("Index,Question,Options,Correct Answer\n1,Why?,(a) x (b) y,(a)\n")
    root = tmp_path / "set"
    with pytest.raises(UserError, match=r"set/Questions.csv, column Index: has 1 entries, not 300") as caught:
        prepare(PIXMMVP, root, [tmp_path / "copy", prepared])
    assert ".partial" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]
    (tmp_path / "copy/Questions.csv").unlink()
    assert prepare(PIXMMVP, root, [tmp_path / "copy", prepared]).sources == {"copies": 304}


def test_a_damaged_file_without_a_network_is_not_called_missing(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(prepared, tmp_path / "set")
    (root / "MMVP Images/7.jpg").write_bytes(jpeg(7)[:500])
    assert run("prepare", "pixmmvp", "--root", root) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "MMVP/MMVP: the Hub is switched off by HF_HUB_OFFLINE=1" in first
    assert second.startswith(f"{root}/MMVP Images/7.jpg: has 500 bytes, not the ")
    assert run("prepare", "pixmmvp", "--root", root, "--from", prepared) == 0
    assert (root / "MMVP Images/7.jpg").read_bytes() == jpeg(7)
    assert not list(root.glob(".*"))


def test_a_folder_may_be_a_link_to_another_disk(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "set"
    (tmp_path / "disk").mkdir()
    for n in range(1, 300):
        shutil.copyfile(prepared / f"MMVP Images/{n}.jpg", tmp_path / f"disk/{n}.jpg")
    root.mkdir()
    (root / "MMVP Images").symlink_to(tmp_path / "disk")
    rename = os.replace

    def other_disk(source: Path, target: Path) -> None:
        if "MMVP Images" in Path(target).parts and Path(target).parts[-3] == "set" and source.suffix != ".part":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", other_disk)
    assert run("prepare", "pixmmvp", "--root", root, "--from", prepared) == 0
    assert (tmp_path / "disk/300.jpg").read_bytes() == jpeg(300)
    assert len(list((tmp_path / "disk").iterdir())) == 300


def test_a_full_disk_is_said_to_be_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert run("prepare", "pixmmvp", "--root", tmp_path / "set", "--from", prepared) == 2
    assert f"{tmp_path}/set: cannot be written ([Errno 28] No space left on device)" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_names_are_found_wherever_they_lie(tmp_path: Path) -> None:
    file = File(("CV-Bench/test.parquet",), ("test_2d.parquet", "x/test.parquet", "test.parquet"))

    def matches(*names: str) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        return [path.relative_to(folder).as_posix() for path in file.matches(list_files(folder))]

    assert matches("a/test.parquet", "b/Test_2D.parquet") == ["b/Test_2D.parquet"]
    assert matches("latest.parquet") == []
    assert matches("x/test.parquet", "test.parquet") == ["x/test.parquet"]
    assert matches("z/test.parquet", "test.parquet") == ["test.parquet", "z/test.parquet"]


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a\\..\\b", "C:/x", "", "a\0b"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="leads out of the folder"):
        inside(name, "the dataset x")


def test_a_copy_is_told_by_its_bytes(prepared: Path, tmp_path: Path) -> None:
    """Of several files with a name the one with the released bytes is taken; pictures of one name must be equal."""
    for folder in ("a", "b/MMVP Images"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/Objects.csv").write_text("Index, Object\n")
    (tmp_path / "b/MMVP Images/7.jpg").write_bytes(jpeg(8))
    pictures = shutil.copytree(prepared, tmp_path / "copies")
    with pytest.raises(UserError, match=r"7.jpg: could be .*/7.jpg or .*; give --from a folder that has one of them"):
        prepare(PIXMMVP, tmp_path / "set", [tmp_path])
    assert not (tmp_path / "set").exists()
    shutil.copyfile(pictures / "MMVP Images/7.jpg", tmp_path / "b/MMVP Images/7.jpg")
    assert prepare(PIXMMVP, tmp_path / "set", [tmp_path]).sources == {"copies": 304}
    (tmp_path / "set/MMVP Images/7.jpg").unlink()
    (tmp_path / "b/MMVP Images/7.jpg").write_bytes(jpeg(8))
    prepare(PIXMMVP, tmp_path / "set", [tmp_path / "b", pictures])
    assert (tmp_path / "set/MMVP Images/7.jpg").read_bytes() == jpeg(8), "the first folder has the last word"


def test_the_known_checksums_are_those_of_the_released_files() -> None:
    if not (HERE / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    for dataset in (PIXMMVP, PIXCVBENCH):
        folder = HERE.parent / dataset.name
        for file in dataset.annotations:
            if file.sha256:
                path = file.in_folder(folder)
                assert path, file.path
                assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == file.sha256


def test_help_is_fast_and_needs_nothing_heavy() -> None:
    code = "import sys; sys.argv[1:] = ['--help']\nfrom pixfound.apps.data import cli\n"
    code += "try: cli.main()\nexcept SystemExit: "
    code += "print([m for m in ('torch', 'numpy', 'PIL', 'huggingface_hub', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "prepare" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_a_picture_of_another_format_is_read_by_its_content(tmp_path: Path) -> None:
    from pixfound.apps.data.checks import wrong_picture

    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", "PNG")
    assert wrong_picture(tmp_path / "a.jpg", (4, 6)) == ""
    assert wrong_picture(tmp_path / "a.jpg", (6, 4)) == "is 6 x 4 pixels, not 4 x 6"
