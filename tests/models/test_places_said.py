"""What a family's models say of a place, in the format that they were taught, becomes a mask at that place.

Tiny random models are made to write it token by token; the image is not square, and each is shown it as its own
processor does. Places are put into a model's units by hand here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from pixfound.config.factory import build
from pixfound.extractors.parsers.formats import find_format
from pixfound.interfaces import Model
from pixfound.models.huggingface import HuggingFace
from tests.support.families import FAMILIES
from tests.support.family import skipped
from tests.support.pixel import DATA
from tests.support.places import BOX, MIDDLE, SIZE, box_of, made_to_say, masks_for
from tests.support.plain import save_florence2, save_kosmos2
from tests.support.run import config_of

HEIGHT, WIDTH = SIZE
QWEN = smart_resize(HEIGHT, WIDTH, factor=16, min_pixels=16 * 16 * 4, max_pixels=16 * 16 * 24)
THING = (*BOX[:2], BOX[2], BOX[1], *BOX[2:], BOX[0], BOX[3])  # its four corners


def units(values: Sequence[float], wide: float, high: float) -> list[int]:
    """x and y in turn, in units of which the image is so many wide and high."""
    return [round(v * (wide / WIDTH, high / HEIGHT)[i % 2]) for i, v in enumerate(values)]


def padded(values: Sequence[float]) -> str:
    """The same in 0 to 1 of the square that the image is in the middle of."""
    moved = [v + (max(SIZE) - (WIDTH, HEIGHT)[i % 2]) / 2 for i, v in enumerate(values)]
    return str([round(v / max(SIZE), 2) for v in moved])


def patch(x: float, y: float) -> str:
    return f"<patch_index_{int(y / HEIGHT * 32) * 32 + int(x / WIDTH * 32):04d}>"


def bins(values: Sequence[float]) -> str:
    return "".join(f"<loc_{v}>" for v in units(values, 1000, 1000))


_1000 = units(BOX, 1000, 1000)
_1024 = units(BOX, 1024, 1024)
_RESIZED = QWEN[1], QWEN[0]
SAID = {  # (family, column) -> format, what it says
    ("cambrian", "boxes"): ("list_padded", padded(BOX)),
    ("florence2", "boxes"): ("loc_1000", f"the thing{bins(BOX)}"),
    ("florence2", "native masks"): ("loc_1000", bins(THING)),
    ("glm4v", "boxes"): ("list_1000", f"<|begin_of_box|>[{_1000}]<|end_of_box|>"),
    ("internvl", "boxes"): ("list_1000", f"the thing[{_1000}]"),  # its marks are no part of the text
    ("kosmos2", "boxes"): ("patch_index", f"<object>{patch(*BOX[:2])}{patch(*BOX[2:])}</object>"),
    ("llava", "boxes"): ("list_padded", padded(BOX)),
    ("molmo2", "points"): (
        "coords", '<points coords="1 1 {:03d} {:03d}">the thing</points>'.format(*units(MIDDLE, 1000, 1000)),
    ),
    ("paligemma", "boxes"): (
        "loc_1024", "".join(f"<loc{_1024[i]:04d}>" for i in (1, 0, 3, 2)) + " the thing",
    ),
    ("qwen2_vl", "boxes"): ("list_1000", "the thing({},{}),({},{})".format(*_1000)),
    ("qwen2_5_vl", "boxes"): ("json_resized", f'```json\n[{{"bbox_2d": {units(BOX, *_RESIZED)}, "label": "it"}}]\n```'),
    ("qwen2_5_vl", "points"): ("json_resized", f'[{{"point_2d": {units(MIDDLE, *_RESIZED)}, "label": "it"}}]'),
    ("qwen3_vl", "boxes"): ("json_1000", f'```json\n[{{"bbox_2d": {_1000}, "label": "it"}}]\n```'),
    ("qwen3_vl", "points"): ("json_1000", f'[{{"point_2d": {units(MIDDLE, 1000, 1000)}, "label": "it"}}]'),
}  # fmt: skip
YAMLS = {  # family -> the YAMLs of its models
    "cambrian": ["cambrian_8b"], "florence2": ["florence2_large"], "internvl": ["internvl3_8b"], "kosmos2": ["kosmos2"],
    "glm4v": ["glm_4_1v_9b", "glm_4_5v", "glm_4_6v_flash"], "llava": ["llava_1_5_7b", "llava_1_5_13b"],
    "molmo2": ["molmo2_8b"], "paligemma": ["paligemma2_3b"], "qwen2_vl": ["qwen2_vl_7b"],
    "qwen2_5_vl": ["qwen2_5_vl_7b"], "qwen3_vl": ["qwen3_vl_8b", "qwen3_vl_30b_a3b"],
}  # fmt: skip
EXTRACTION = {"boxes": "text_box", "points": "text_point", "native masks": "text_mask"}
NEEDS = {"molmo2": FAMILIES["molmo2"].needs}
PLAIN: dict[str, Callable[[Path], Path]] = {"florence2": save_florence2, "kosmos2": save_kosmos2}


def model_of(family: str, tmp_path: Path, family_folder: Callable[[str], Path]) -> tuple[Path, dict[str, Any]]:
    """The folder of a tiny model, and its config."""
    if family == "cambrian":
        towers = [f"model.towers.{name}.path={DATA / 'cambrian' / name}" for name in ("siglip", "clip", "dinov2")]
        folder, more = DATA / "cambrian" / "model", ["model=cambrian_8b", *towers]
        more.append(f"model.towers.convnext.path={DATA / 'cambrian' / 'convnext'}")
    elif family in PLAIN:
        folder, more = PLAIN[family](tmp_path / family), ["model=plain"]
    else:
        layout = "pad" if family == "llava" else "native"
        folder, more = family_folder(family), ["model=hf", "model.capture=none", f"model.image_layout={layout}"]
    given = [*more, f"model.path={folder}", "model.dtype=float32", "model.device=cpu"]
    return folder, config_of(*given)["model"]


def case(family: str, column: str) -> Any:
    marks = [pytest.mark.verifies(column, model=family), *skipped(NEEDS.get(family))]
    return pytest.param(family, column, marks=marks, id=f"{family}-{column}")


@pytest.mark.parametrize(("family", "column"), [case(*key) for key in SAID])
def test_what_is_said_of_a_place_is_drawn_there(
    family: str, column: str, tmp_path: Path, family_folder: Callable[[str], Path]
) -> None:
    folder, model = model_of(family, tmp_path, family_folder)
    format, text = SAID[family, column]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    speaking = {**model, "generation": made_to_say(ids)}
    (mask,) = masks_for(tmp_path, speaking, EXTRACTION[column], format)
    assert mask.size == SIZE
    assert box_of(mask) == pytest.approx(BOX, abs=2)


def test_the_square_that_llava_speaks_of_is_the_one_it_is_shown(family_folder: Callable[[str], Path]) -> None:
    """Tiles are checked against moved pixels elsewhere."""
    shown = HuggingFace(str(family_folder("llava")), image_layout="pad", capture="none", device="cpu")
    (tile,) = shown.tiles(Image.new("RGB", (WIDTH, HEIGHT)))
    assert tile.box == (0, -(WIDTH - HEIGHT) / 2, WIDTH, HEIGHT + (WIDTH - HEIGHT) / 2)


@pytest.mark.parametrize(("family", "column"), SAID)
def test_a_models_yaml_declares_what_is_read(family: str, column: str) -> None:
    extraction, kind = EXTRACTION[column], column.removeprefix("native ")
    for name in YAMLS[family]:
        config = config_of(f"model={name}", f"extraction={extraction}")
        format = config["extraction"]["extractors"][extraction]["format"]
        assert format == SAID[family, column][0]
        assert find_format(format, kind)  # type: ignore[arg-type]
        asked = config["prompts"]["ground"]
        assert asked == config["model"]["coordinates"][kind]["ground"] != "pixfoundation"
        assert asked in config["prompts"]["templates"]["ground"]
        assert config_of(f"model={name}", f"extraction={extraction}", "prompts=paper")["prompts"]["ground"] == asked
        assert config_of(f"model={name}")["prompts"]["ground"] == "pixfoundation"


def test_no_yaml_declares_what_no_test_shows() -> None:
    declared = {
        (path.stem, kind)
        for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml")
        for kind in yaml.safe_load(path.read_text()).get("coordinates", ())
    }
    shown = {(name, column.removeprefix("native ")) for family, column in SAID for name in YAMLS[family]}
    elsewhere = {("paligemma2_3b", "masks"), ("tiny_pixel", "masks")}  # test_text_mask.py, test_embedded.py
    assert declared - shown == elsewhere
    assert not shown - declared


def test_what_is_typed_goes_before_what_a_model_declares() -> None:
    typed = ["extraction.extractors.text_box.format=list_image", "prompts.ground=lisa"]
    config = config_of("model=qwen3_vl_8b", "extraction=text_box", *typed)
    assert {config["extraction"]["extractors"][name]["format"] for name in ("text_box", "each_box")} == {"list_image"}
    assert config["prompts"]["ground"] == "lisa"


def test_a_declaration_is_no_option_of_the_model(family_folder: Callable[[str], Path]) -> None:
    """What was generated without one is still found."""
    plain = {**config_of("model=qwen3_vl_8b")["model"], "path": str(family_folder("qwen3_vl"))}
    bare = {name: value for name, value in plain.items() if name != "coordinates"}
    assert bare != plain and build(plain, "model", Model).identity() == build(bare, "model", Model).identity()
