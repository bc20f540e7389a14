"""The paper's grid end to end, at miniature size: every cell as it is typed, on the released annotations.

A cache of the Hub holds a tiny random checkpoint of the same class in place of each published one, so the cells run by
their own names and without another option. The pictures are noise of the right sizes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from pixfound.apps.dry_run import plan
from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixcvbench_files import IMAGES
from pixfound.io.coco import read_coco
from pixfound.io.tables import read_table
from pixfound.report.paper_table import TableRun, paper_table
from tests.support.judge_server import Act, JudgeServer
from tests.support.random_sam import save_random_sam
from tests.support.run import config_of

ANNOTATIONS = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data"))
TINY = Path(__file__).parents[1] / "data"
CELLS = sorted(path.stem for path in (Path(__file__).parents[2] / "experiments/paper").iterdir())
LIMIT = 2
TWICE = ("llava_7b", "omg_llava")
GIVEN = ("omg_llava", "llava_grounding")  # whose predictions come from files
SMALL = [
    *(f"limit={LIMIT}", "batch_size=8", "phrases=textblob", "scoring.resamples=100", "report.pictures=0"),
    *("report.page=false", "report.charts=false"),
]
pytestmark = pytest.mark.skipif(
    not (ANNOTATIONS / "pixmmvp" / "Objects.csv").exists(),
    reason="no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/ and pixcvbench/",
)


def noise(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name) * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def pixmmvp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "pixmmvp"
    shutil.copytree(ANNOTATIONS / "pixmmvp", root)
    for number in range(1, LIMIT + 1):
        noise(root / "MMVP Images" / f"{number}.jpg", 224, 224)
    return root


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, family_folder: Callable[[str], Path]) -> Iterator[Path]:
    """A cache of the Hub with a tiny checkpoint under the name of each published one."""
    root = tmp_path_factory.mktemp("hub")
    folders = {
        "xinlai/LISA-7B-v1-explanatory": TINY / "lisa/model",
        "openai/clip-vit-large-patch14": TINY / "lisa/clip",
        "MBZUAI/GLaMM-FullScope": TINY / "glamm/model",
        "openai/clip-vit-large-patch14-336": TINY / "glamm/clip",
        "SurplusDeficit/UniGR-7B": TINY / "rga3/model",
        "ByteDance/Sa2VA-Qwen2_5-VL-7B": TINY / "sa2va_qwen2_5/model",
        "nyu-visionx/cambrian-8b": TINY / "cambrian/model",
        "google/siglip-so400m-patch14-384": TINY / "cambrian/siglip",
        "facebook/dinov2-giant": TINY / "cambrian/dinov2",
        "timm/convnext_xxlarge.clip_laion2b_soup": TINY / "cambrian/convnext",
        "llava-hf/llava-1.5-7b-hf": family_folder("llava"),
        "llava-hf/llava-1.5-13b-hf": family_folder("llava"),
        "Qwen/Qwen2.5-VL-7B-Instruct": family_folder("qwen2_5_vl"),
        "Qwen/Qwen3-VL-8B-Instruct": family_folder("qwen3_vl"),
        "facebook/sam-vit-huge": save_random_sam(root / "sam"),
    }
    for repo, folder in folders.items():
        place = root / f"models--{repo.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs/main").write_text("c0ffee")
        (place / "snapshots").mkdir()
        (place / "snapshots/c0ffee").symlink_to(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(root))
        yield root


@pytest.fixture(scope="module")
def pixcvbench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released outlines and expressions, with a question of our own for each image, as CV-Bench is not released."""
    root = tmp_path_factory.mktemp("data") / "pixcvbench"
    shutil.copytree(ANNOTATIONS / "pixcvbench", root)
    rows = read_table(root / "Objects.csv", ("Id",), ("file", "Objects"))
    lines = []
    for source, folder in IMAGES.items():
        outlines = read_coco(next((root / source).rglob("FinalSegmentations.json")))
        for outline in outlines.values():
            if len(list((root / folder).glob("*"))) < LIMIT:
                noise(root / folder / outline.file_name, *reversed(outline.likely_size))
            about = {"source": source, "source_filename": outline.file_name, "task": "Count", "type": "2D"}
            lines.append({**about, "question": "How many?", "choices": ["1", "2"], "answer": "(A)"})
    (root / "CV-Bench").mkdir(exist_ok=True)
    (root / "CV-Bench/test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(rows) == len(lines) == 1438
    return root


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the two models that are read from files: an answer and a mask for each image of PixMMVP."""
    root = tmp_path_factory.mktemp("predictions")
    for model in GIVEN:
        folder = root / "data/predictions" / model / "pixmmvp"
        for kind in ("open", "ground"):
            (folder / kind).mkdir(parents=True)
            for number in range(1, 301):
                mask = Image.fromarray(np.eye(224, dtype=np.uint8) * 255)
                mask.save(folder / kind / f"{number:05d}.png", compress_level=1)
        for kind in ("open", "choice", "ground"):
            said = [{"question_id": n, "response": "(a)", "answer": "A"} for n in range(1, 301)]
            (folder / f"{kind}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    return root


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The judge of the paper, behind a server of our own: yes to every question, and the first of the candidates."""

    def reply(body: Mapping[str, Any]) -> str:
        return "1" if "number" in json.dumps(body["messages"][-1]) else "Yes"

    with JudgeServer(Act(reply)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "word")
        cache = tmp_path_factory.mktemp("replies")
        yield [f"judge.base_url={server.url}", f"judge.cache_dir={cache}"]


def run_cells(experiment: str, cells: Sequence[str], outputs: Path, *overrides: str) -> list[TableRun]:
    """Evaluate cells in this process, those of TWICE by both scorings; every weight must be found in the cache."""
    runs = []
    for cell in cells:
        short = [] if cell in GIVEN else ["model.generation.max_new_tokens=6"]
        for scoring in ("reference", "default")[: 2 if cell in TWICE else 1]:
            line = [f"experiment={experiment}", f"experiment/paper={cell}", f"scoring={scoring}", *SMALL, *short]
            config = config_of(*line, *overrides, f"outputs_dir={outputs}")
            assert all(one["here"] for one in plan(config)["weights"]), cell
            result = evaluate(config)
            assert not result.failures, (cell, result.failures[:3])
            assert result.metrics["examples"] == LIMIT
            runs.append(TableRun(result.names, result.metrics))
    return runs


def groups_of(runs: Sequence[TableRun]) -> dict[str, list[str]]:
    """Group -> its models; every figure of M, M† and S is there."""
    groups: dict[str, list[str]] = {}
    for (group, label), blocks in paper_table(runs).figures.items():
        groups.setdefault(group, []).append(label)
        assert blocks and all(figure["value"] is not None for of in blocks.values() for figure in of[2:])
    return groups


def test_every_cell_runs_on_pixmmvp(
    hub: Path, pixmmvp: Path, predictions: Path, judge: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(predictions)
    runs = run_cells("paper_pixmmvp", CELLS, tmp_path, f"benchmark.root={pixmmvp}", *judge)
    assert set(paper_table(runs).titles) == {"pixmmvp, reference", "pixmmvp, default"}
    found = groups_of(runs)
    assert [len(models) for group, models in found.items() if group.startswith("Attend")] == [5, 5, 5]
    assert [len(models) for group, models in found.items() if group.startswith("Plain")] == [5, 5]
    assert found["Pixel-level MLLM: its own masks"] == sorted(
        ["glamm", "lisa_7b", "llava_grounding", "omg_llava", "rga3", "sa2va_qwen2_5_vl_7b"]
    )
    files = list(tmp_path.glob("runs/pixmmvp/*/*/*/table.*"))
    assert len(files) == 2 * len(runs) == 36


def test_each_class_of_cells_runs_on_pixcvbench(hub: Path, pixcvbench: Path, judge: list[str], tmp_path: Path) -> None:
    cells = ["lisa", "cambrian_box"]
    runs = run_cells("paper_pixcvbench", cells, tmp_path, f"benchmark.root={pixcvbench}", *judge)
    assert len(groups_of(runs)) == 3
