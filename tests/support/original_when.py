"""Runs the original's own "when" script on made-up masks, in a scratch folder: where its numbers come from.

    PIXFOUND_ORIGINAL=CHECKOUT python -m tests.support.original_when 0 1 2 > tests/analyses/original_when.json

CHECKOUT is a copy of https://github.com/MSiam/PixFoundation; PIXFOUND_ANNOTATIONS names the folder of the released
annotations. The script needs cv2, pandas and torch; of detectron2 and torchvision it uses nothing that changes a
number, so empty stand-ins serve.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.emergent import SIDE, write

SCRIPT = "pixmmvp/eval/eval_nonpixLMM_when_analysis.py"
ANNOTATIONS = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixmmvp"
_CATALOG = """
class _Catalog(dict):
    def register(self, name, load):
        self[name] = load

    def get(self, name):
        return self[name]()


class _Metadata:
    def get(self, name):
        return self

    def set(self, **values):
        return self


DatasetCatalog, MetadataCatalog = _Catalog(), _Metadata()
"""
_TRANSFORMS = """
class Compose:
    def __init__(self, steps):
        pass

    def __call__(self, image):
        return image


def ToTensor():
    pass


def Normalize(mean, std):
    pass
"""
_STAND_INS = {
    "detectron2/__init__.py": "",
    "detectron2/data/__init__.py": "from .catalog import DatasetCatalog, MetadataCatalog",
    "detectron2/data/build.py": "def trivial_batch_collator(batch):\n    return batch",
    "detectron2/data/catalog.py": _CATALOG,
    "detectron2/data/detection_utils.py": "",
    "detectron2/data/datasets/__init__.py": "",
    "detectron2/data/datasets/builtin_meta.py": "COCO_CATEGORIES = []",
    "detectron2/utils/__init__.py": "",
    "detectron2/utils/file_io.py": "import os\n\nclass PathManager:\n    open = open\n    isfile = os.path.isfile",
    "torchvision/__init__.py": "",
    "torchvision/ops.py": "",
    "torchvision/transforms.py": _TRANSFORMS,
}


def run_original(checkout: Path, seed: int, folder: Path) -> dict[str, Any]:
    """The script's counts for the masks of a seed. folder: an empty one to work in."""
    for name, text in _STAND_INS.items():
        path = folder / "stand_ins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    images = folder / "root" / "MMVP Images"
    images.mkdir(parents=True)
    for name in ("Objects.csv", "Segmentations.json"):
        (folder / "root" / name).write_bytes((ANNOTATIONS / name).read_bytes())
    for number in range(1, 301):
        Image.new("RGB", (SIDE, SIDE)).save(images / f"{number}.jpg")
    meta = write(folder, seed, "masks")
    arguments = ["--dataset_root", folder / "root", "--preds_dir", folder / "masks"]
    arguments += ["--meta_file", meta, "--when_out_dir", folder / "out"]
    path = os.pathsep.join((str(checkout), str(folder / "stand_ins")))
    done = subprocess.run(
        [sys.executable, str(checkout / SCRIPT), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{SCRIPT} ended with {done.returncode}: {done.stderr[-2000:]}")
    bins = np.load(folder / "out" / "masks_loc.npy", allow_pickle=True).item()
    examples = len(np.load(folder / "out" / "masks_concept.npy", allow_pickle=True))
    return {"seed": seed, "deciles": [bins[i] for i in range(10)], "examples": examples}


if __name__ == "__main__":
    found = []
    for argument in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            found.append(run_original(Path(os.environ["PIXFOUND_ORIGINAL"]), int(argument), Path(scratch)))
    print("[\n" + ",\n".join(f"  {json.dumps(one)}" for one in found) + "\n]")
