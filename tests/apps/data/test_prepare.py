"""`pixfound-data` against a server that answers like the Hub, with transfers that are cut, wrong, refused or missing.

The annotations are the released ones; the pictures are small drawings of the right size.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from pixfound.benchmarks.pixmmvp import PixMMVP
from tests.support.hub_server import COMMIT, Fault, HubServer, Repo

HERE = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[4] / "shared/data")) / "pixmmvp"
BLOCK = 10 * 1024 * 1024  # the client keeps what has arrived in blocks of this size
ANNOTATIONS = ("Objects.csv", "Segmentations.json", "visual_patterns.csv")


def jpeg(number: int, size: tuple[int, int] = (224, 224)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 2 % 256, 90)).save(stream, "JPEG", quality=60)
    return stream.getvalue()


def images() -> dict[str, bytes]:
    return {f"MMVP Images/{n}.jpg": jpeg(n) for n in range(1, 301)}


def questions(first: int = 1) -> bytes:
    """MMVP's own table: columns of the patterns' table, from the `first` on, under a header with its typo."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    with (HERE / "visual_patterns.csv").open(newline="", encoding="utf-8-sig") as source:
        rows = list(csv.reader(source))
    writer.writerow(["lndex", "Question", "Options", "Correct Answer"])
    writer.writerows(row[first : first + 4] for row in rows[1:])
    return stream.getvalue().encode()


def make_repos() -> dict[str, Repo]:
    if not (HERE / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    mmvp = {**images(), "Questions.csv": questions(), "README.md": b"a card", "Questions.xlsx": b"a sheet"}
    ours = {name: (HERE / name).read_bytes() for name in ANNOTATIONS}
    return {
        "MMVP/MMVP": Repo(mmvp, lfs=frozenset(f"MMVP Images/{n}.jpg" for n in range(1, 301, 2))),
        "IVUlab/pixmmvp": Repo({**ours, "README.md": b"another card"}),
    }


def start(*arguments: object, endpoint: str = "http://127.0.0.1:9") -> subprocess.Popen[str]:
    """Start the command in a process of its own, for the client reads its environment when it is imported."""
    return subprocess.Popen(
        [sys.executable, "-m", "pixfound.apps.data.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""},
    )


def command(*arguments: object, endpoint: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    process = start(*arguments, endpoint=endpoint)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_a_set_is_made_in_spite_of_faults_and_never_twice(tmp_path: Path) -> None:
    root = tmp_path / "PixMMVP"
    repos, other = make_repos(), jpeg(1000)
    large = jpeg(4) + bytes(BLOCK * 2)  # what follows a JPEG's end does not matter
    repos["MMVP/MMVP"].files["MMVP Images/4.jpg"] = large
    repos["IVUlab/pixmmvp"].files["old/Objects.csv"] = b"another one"
    with HubServer(repos) as hub:
        hub.faults["MMVP Images/4.jpg"] = [Fault(cut_after=BLOCK + 5), Fault(cut_after=BLOCK // 2)]
        hub.faults["MMVP Images/5.jpg"] = [Fault(cut_after=300)]
        hub.faults["MMVP Images/6.jpg"] = [Fault(body=other[: len(jpeg(6))].ljust(len(jpeg(6)), b"x"))]
        hub.faults["MMVP Images/7.jpg"] = [Fault(body=jpeg(7)[:-9])]
        hub.faults["Segmentations.json"] = [Fault(cut_after=70000), Fault(cut_after=1)]
        done = command("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        assert done.returncode == 0, done.stderr
        assert not done.stderr.strip()
        assert "301 from MMVP/MMVP" in done.stdout
        assert f"IVUlab/pixmmvp at {COMMIT}" in done.stdout
        assert hub.ranges == [("MMVP Images/4.jpg", f"bytes={BLOCK}-")] * 2, "a cut transfer goes on where it was"
        assert hub.gets["MMVP Images/4.jpg"] == hub.gets["Segmentations.json"] == 3
        assert hub.gets["MMVP Images/5.jpg"] == 2
        assert hub.gets["MMVP Images/6.jpg"] == hub.gets["MMVP Images/7.jpg"] == 2, "wrong bytes are fetched again"
        assert hub.gets["README.md"] == hub.gets["Questions.xlsx"] == 0

        hub.gets.clear()
        assert command("verify", "pixmmvp", "--root", root).returncode == 0
        again = command("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        assert "nothing to do" in again.stdout
        (root / "MMVP Images/8.jpg").write_bytes(jpeg(9))
        (root / "notes.txt").write_text("mine")
        checked = command("verify", "pixmmvp", "--root", root)
        assert checked.returncode == 2
        assert f"{root}/MMVP Images/8.jpg: has the sha256" in checked.stdout
        assert command("prepare", "pixmmvp", "--root", root, endpoint=hub.url).returncode == 0
        assert hub.gets == {"MMVP Images/8.jpg": 1}, "a good file is not fetched again"
    assert (root / "notes.txt").read_text() == "mine"
    assert {p: (root / p).read_bytes() for p in images()} == {**images(), "MMVP Images/4.jpg": large}
    assert (root / "meta_none.txt").read_bytes() == (HERE / "meta_none.txt").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["PixMMVP"]
    assert not list(root.glob(".*")), "nothing of the staging is left"
    assert len(PixMMVP(str(root))) == 286
    noted = json.loads((root / "pixfound-data.json").read_text())
    assert len(noted["files"]) == 305


def test_what_cannot_be_fetched_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "deep/PixMMVP"
    six, seven = "MMVP Images/6.jpg", "MMVP Images/7.jpg"
    with HubServer(make_repos()) as hub:
        hub.faults[six] = [Fault(body=b"x" * len(jpeg(6)))] * 2
        hub.faults[seven] = [Fault(status=404)]
        first = command("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        lost = rf"pixfound-data: MMVP/MMVP: {hub.url}/\S*7.jpg answers with the error 404; .* give a copy by --from"
        assert re.match(lost, first.stderr), first.stderr
        assert [path.name for path in root.iterdir()] == [".partial"], "no half-written set"
        hub.gets.clear()
        second = command("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        wrong = "pixfound-data: MMVP/MMVP, MMVP Images/6.jpg: arrived 2 times with other bytes than the Hub's checksum"
        assert second.stderr.startswith(wrong), second.stderr
        assert (first.returncode, second.returncode) == (2, 2)
        assert command("prepare", "pixmmvp", "--root", root, endpoint=hub.url).returncode == 0
        assert max(hub.gets.values()) <= 3
        assert sum(hub.gets.values()) < 310, "what arrived is kept"
    assert len(PixMMVP(str(root))) == 286


def test_a_killed_run_leaves_no_set_and_is_gone_on_with(tmp_path: Path) -> None:
    root = tmp_path / "PixMMVP"
    root.mkdir()
    with HubServer(make_repos()) as hub:
        hub.faults = {f"MMVP Images/{n}.jpg": [Fault(hang=True)] for n in range(101, 301)}
        process = start("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        partial = root / ".partial/hub/MMVP--MMVP/MMVP Images"
        until = time.monotonic() + 60
        while len(list(partial.glob("*.jpg"))) < 100 and time.monotonic() < until:
            time.sleep(0.02)
        second = command("prepare", "pixmmvp", "--root", root, endpoint=hub.url)
        assert f"{root}: another process is preparing it; wait for that one" in second.stderr
        process.kill()
        process.communicate()
        assert [path.name for path in root.iterdir()] == [".partial"]
        hub.faults, hub.gets = {}, Counter()
        assert command("prepare", "pixmmvp", "--root", root, endpoint=hub.url).returncode == 0
        late = {f"MMVP Images/{n}.jpg" for n in range(101, 301)}
        assert late <= set(hub.gets) <= late | {"Questions.csv"}, "what had not arrived"
    assert len(PixMMVP(str(root))) == 286
    assert [p.name for p in tmp_path.iterdir()] == ["PixMMVP"]


def test_an_optional_table_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    repos = make_repos()
    repos["MMVP/MMVP"].files["Questions.csv"] = questions(0)
    with HubServer(repos) as hub:
        done = command("prepare", "pixmmvp", "--root", tmp_path / "P", endpoint=hub.url)
    assert done.returncode == 0, done.stderr
    assert f"Questions.csv of MMVP/MMVP is left out: {tmp_path}/P/Questions.csv, column Index" in done.stdout
    assert not (tmp_path / "P/Questions.csv").exists()


def test_without_a_network_every_missing_file_has_its_place(tmp_path: Path) -> None:
    root = tmp_path / "PixMMVP"
    (root / "MMVP Images").mkdir(parents=True)
    for n in range(1, 300):
        (root / f"MMVP Images/{n}.jpg").write_bytes(jpeg(n))
    done = command("prepare", "pixmmvp", "--root", root)
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert first.startswith("pixfound-data: IVUlab/pixmmvp: http://127.0.0.1:9 cannot be reached (ConnectError")
    assert [line.partition(": missing; ")[0] for line in rest] == [
        f"{root}/{name}" for name in (*ANNOTATIONS, "meta_none.txt", "MMVP Images/300.jpg")
    ]
    assert rest[-1].endswith("get it from https://huggingface.co/datasets/MMVP/MMVP")
    assert sorted(p.name for p in root.iterdir()) == ["MMVP Images"], "the folder is as it was"


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda repos: repos.pop("MMVP/MMVP"), (), "MMVP/MMVP: .* has no such dataset for you \\(401\\); set HF_TOKEN"),
        (
            lambda repos: setattr(repos["MMVP/MMVP"], "error", (403, "GatedRepo")),
            (),
            "MMVP/MMVP: ask for access at http://.*/datasets/MMVP/MMVP in a browser, then set HF_TOKEN",
        ),
        (
            lambda repos: None,
            ("--revision", "IVUlab/pixmmvp=v9"),
            "IVUlab/pixmmvp: .* has no revision 'v9' of it; give another with --revision",
        ),
        (lambda repos: None, ("--revision", "MMVP/MMVO=v9"), "does not come from it; did you mean MMVP/MMVP"),
        (lambda repos: None, ("--revision", "v9"), "--revision v9: give it as DATASET=REVISION"),
        (lambda repos: None, ("--from", "/no/such"), "--from /no/such: there is no such folder"),
        (
            lambda repos: repos["MMVP/MMVP"].files.update({"../../7.jpg": b"x"}),
            (),
            r"Invalid filename '../../7.jpg': cannot contain a '..' path segment",
        ),
        (
            lambda repos: repos["IVUlab/pixmmvp"].files.update({"Objects.csv": b"Index, Object\n1, x\n"}),
            (),
            "IVUlab/pixmmvp at 0123456789ab, Objects.csv has the sha256 .* not the 9d7b4ebcde03... of the released",
        ),
        (
            lambda repos: repos["IVUlab/pixmmvp"].files.pop("Segmentations.json"),
            (),
            "Segmentations.json: missing; get it from https://huggingface.co/datasets/IVUlab/pixmmvp",
        ),
    ],
)
def test_refusals_are_lines(change, arguments, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    repos = make_repos()
    change(repos)
    with HubServer(repos) as hub:
        done = command("prepare", "pixmmvp", "--root", tmp_path / "set", *arguments, endpoint=hub.url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert [path.name for path in (tmp_path / "set").glob("*")] in ([], [".partial"])


def test_the_papers_data_are_prepared_one_by_one(tmp_path: Path) -> None:
    """One benchmark from copies, the other not to be had: the first is ready, and what the second lacks is named."""
    make_repos()
    copies = tmp_path / "copies"
    (copies / "MMVP Images").mkdir(parents=True)
    for name in ANNOTATIONS:
        (copies / name).write_bytes((HERE / name).read_bytes())
    for name, content in images().items():
        (copies / name).write_bytes(content)
    (tmp_path / "data/predictions/omg_llava/pixmmvp").mkdir(parents=True)
    done = command("paper", "--root", tmp_path / "data", "--from", copies)
    lines = done.stdout.splitlines()
    assert done.returncode == 2
    assert lines[0] == f"pixmmvp: 304 files in {tmp_path}/data/pixmmvp" and lines[1] == "pixcvbench: not ready"
    assert any("COCO/FinalSegmentations.json: missing; get it from" in line for line in lines[2:])
    assert f"predictions of omg_llava on pixmmvp, {tmp_path}/data/predictions/omg_llava/pixmmvp: given" in lines
    assert sum("not given" in line for line in lines) == 3 and lines[-1].startswith("1 of 2 data sets are ready")
    assert len(PixMMVP(str(tmp_path / "data/pixmmvp"))) == 286
