"""Box attention against the authors' code (TalRemez/MTLA at c6379bb), against eager attention, and its row in a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from pixfound.errors import UserError
from pixfound.extractors.box_attention import NAME, BoxAttention
from pixfound.extractors.parsers.grammars import (
    WrittenBox,
    json_boxes,
    list_boxes,
    loc_boxes,
    patch_boxes,
    spans_of,
    yxyx_boxes,
)
from pixfound.models.attention.teacher_forcing import answer_ids
from pixfound.pipeline.run_data import RunData
from pixfound.selectors.by_score import ByScore
from pixfound.types import Generation, Prompt, Tile
from pixfound.types.layer_attention import LayerAttention
from pixfound.types.masks import RLE
from tests.analyses.test_agreement import says
from tests.extractors.test_text import BoxSegmenter
from tests.support.examples import make_example
from tests.support.family import adapter

RELEASED = json.loads((Path(__file__).parents[1] / "data/box_attention.json").read_text())
SIZE = (300, 500)  # (H, W)


def tiles_of(grid: list[Any]) -> tuple[Tile, ...]:
    """Tiles of Qwen3-VL's grid (rows, columns), or of InternVL's (columns, rows, thumbnail) of 16 x 16 cells each."""
    height, width = SIZE
    if len(grid) == 2:
        return (Tile(0, (grid[0], grid[1]), grid[1], (0, 0, width, height)),)
    columns, rows, thumbnail = grid
    wide, high = width / columns, height / rows
    boxes = [(c * wide, r * high, (c + 1) * wide, (r + 1) * high) for r in range(rows) for c in range(columns)]
    boxes += [(0.0, 0.0, float(width), float(height))] * thumbnail
    return tuple(Tile(256 * i, (16, 16), 16, box) for i, box in enumerate(boxes))


@pytest.mark.parametrize("number", range(len(RELEASED)))
def test_scores_are_those_of_the_released_code(number: int) -> None:
    case = RELEASED[number]
    tiles, ends = tiles_of(case["grid"]), case["offsets"]
    tokens = sum(rows * columns for rows, columns in (tile.grid for tile in tiles))
    attention = np.random.default_rng(number).random((24, 2, len(ends), tokens), dtype=np.float32) ** 4
    rows = np.concatenate([np.zeros_like(attention[:, :, :2]), attention], axis=2)  # of the prompt's last two tokens
    generation = Generation(
        case["text"],
        SIZE,
        spans=(*zip([0, *ends[:-1]], ends, strict=True), (ends[-1], ends[-1])),
        tiles=tiles,
        attention=rows.mean(axis=(0, 1))[1:],
        penultimate=rows.mean(axis=(0, 1))[0],
        kept=LayerAttention(rows, tuple(range(24)), (0, 1)),
    )
    format = "json_1000" if len(case["grid"]) == 2 else "list_1000"
    for layers, name in ((None, "all_layers"), (list(range(8, 22)), "score")):
        scores = BoxAttention(BoxSegmenter(), format, layers=layers).box_scores(generation)
        boxes = BoxAttention(BoxSegmenter(), format).format.frame(SIZE, None).boxes(of["box"] for of in case["boxes"])
        np.testing.assert_allclose(list(scores), boxes)
        np.testing.assert_allclose(list(scores.values()), [of[name] for of in case["boxes"]], rtol=1e-5)


@pytest.mark.parametrize(("family", "tiles"), [("llava", 1), ("internvl", 7), ("qwen3_vl", 1)])
def test_scores_equal_eager_attention(family: str, tiles: int, family_folder: Callable[[str], Path]) -> None:
    folder, text = family_folder(family), "a thing[125, 250, 500, 750] and [600, 0, 1000, 900]."
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 64, 3), dtype=np.uint8))
    model = adapter(folder, keep="layers")
    request = (image, Prompt("e", "ground", "v", "Where?"))
    (generation,) = model.attend([request], [text])
    eager = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inputs = model.encode([request])
    prompt = inputs["input_ids"].shape[1]
    answer = torch.tensor([answer_ids(model.tokenizer, inputs["input_ids"][0], text)])
    with torch.no_grad():
        attentions = eager(
            **{
                **inputs,
                "input_ids": torch.cat([inputs["input_ids"], answer], dim=1),
                "attention_mask": torch.cat([inputs["attention_mask"], torch.ones_like(answer)], dim=1),
                **{
                    n: torch.cat([v, torch.zeros_like(answer)], dim=1) for n, v in inputs.items() if n.startswith("mm_")
                },
            },
            output_attentions=True,
        ).attentions
    images = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
    assert len(generation.tiles) == tiles
    written = text.encode()
    starts = len(answer[0]) - 1 - len(written)  # a space may come first: a token is a byte
    boxes = {"a thing": (125, 250, 500, 750), "": (600, 0, 1000, 900)}
    for layers in (None, [1]):
        of_layers = torch.stack(attentions if layers is None else [attentions[1]]).mean(dim=(0, 2))[0]
        scores = BoxAttention(BoxSegmenter(), "list_1000", layers=layers).box_scores(generation)
        for (label, box), (pixels, score) in zip(boxes.items(), scores.items(), strict=True):
            x0, y0, x1, y1 = box[0] * 0.064, box[1] * 0.096, box[2] * 0.064, box[3] * 0.096
            assert pixels == pytest.approx((x0, y0, x1, y1))
            inside = [
                tile.first + row * tile.stride + column
                for tile in generation.tiles
                for row in range(tile.grid[0])
                for column in range(tile.grid[1])
                if (tile.box[2] - tile.box[0]) * (column + 1) / tile.grid[1] + tile.box[0] > x0 + 1e-6
                and (tile.box[2] - tile.box[0]) * column / tile.grid[1] + tile.box[0] < x1 - 1e-6
                and (tile.box[3] - tile.box[1]) * (row + 1) / tile.grid[0] + tile.box[1] > y0 + 1e-6
                and (tile.box[3] - tile.box[1]) * row / tile.grid[0] + tile.box[1] < y1 - 1e-6
            ]
            first = text.index(str(list(box)))
            places = [*range(first - len(label), first)]
            places += [first + i for i, character in enumerate(str(list(box))) if character.isdigit()]
            rows = of_layers[[prompt + starts + place for place in places]][:, images]
            assert score == pytest.approx(float(rows[:, inside].sum(dim=1).mean()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("grammar", "text", "expected"),
    [
        (json_boxes, '[{"label": "a b", "bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7, 8], "label": "c"}]',
         [["1", "2", "3", "4", "a b"], ["5", "6", "7", "8", "c"]]),
        (json_boxes, '{"bbox_2d": [1, 2, 3, 4]}, {"label": "of another", "bbox_2d": [5, 6, 7, 8]}',
         [["1", "2", "3", "4"], ["5", "6", "7", "8", "of another"]]),
        (json_boxes, '{"bbox_2d": [1, 2, 3, 4], "label": "cut o', [["1", "2", "3", "4"]]),
        (list_boxes, "The cat is at [0.25, .5, 1, 1.0].", [["0.25", "5", "1", "1.0"]]),
        (list_boxes, "the thing(10,20),(30,40)", [["10", "20", "30", "40", "the thing"]]),
        (list_boxes, "cat[[1, 2, 3, 4]]\nred dog[[5, 6, 7, 8]]",
         [["1", "2", "3", "4", "cat"], ["5", "6", "7", "8", "red dog"]]),
        (list_boxes, "<ref>it</ref><box>[[1, 2, 3, 4]]</box>", [["1", "2", "3", "4", "it"]]),
        (patch_boxes, "<phrase>a cat</phrase><object><patch_index_0044><patch_index_0863></object>",
         [["0044", "0863", "a cat"]]),
        (patch_boxes, "<phrase>cats</phrase><object><patch_index_0044><patch_index_0863>"
         "</delimiter_of_multi_objects/><patch_index_0001><patch_index_0002> a <patch_index_0003><patch_index_0004>",
         [["0044", "0863", "cats"], ["0001", "0002", "cats"], ["0003", "0004"]]),
        (yxyx_boxes, "<loc0001><loc0002><loc0003><loc0004> red cat ; <loc0005><loc0006><loc0007><loc0008><seg001> dog",
         [["0001", "0002", "0003", "0004", "red cat"], ["0005", "0006", "0007", "0008", "dog"]]),
        (loc_boxes, "cat<loc_1><loc_2><loc_3><loc_4><loc_5><loc_6><loc_7><loc_8>dog<loc_1><loc_2><loc_3><loc_4>",
         [["1", "2", "3", "4", "cat"], ["5", "6", "7", "8", "cat"], ["1", "2", "3", "4", "dog"]]),
        (json_boxes, '[{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": "a \\"b\\""}, {\'bbox_2d\': [5, 6, 7, 8]}]',
         [["1", "2", "3", "4", 'a \\"b\\"'], ["5", "6", "7", "8", 'a \\"b\\"'], ["5", "6", "7", "8"]]),
        (list_boxes, "cats: [[1, 2, 3, 4]], two [5, 6, 7, 8] or  red dogs [[1, 2, 3, 4]]",
         [["1", "2", "3", "4"], ["5", "6", "7", "8"], ["1", "2", "3", "4", "or  red dogs"]]),
    ],
)  # fmt: skip
def test_numbers_and_labels_are_found(grammar: Callable[[str], list[WrittenBox]], text: str, expected: object) -> None:
    found = spans_of(text, grammar(text))
    assert [[text[start:end] for start, end in spans] for spans in found] == expected


def test_masks_of_several_boxes_have_their_mean_and_equals_the_segmenters_best() -> None:
    text = '[{"bbox_2d": [0, 0, 4, 2]}, {"bbox_2d": [4, 2, 8, 4]}]'
    rows = np.zeros((len(text) + 1, 8), np.float32)
    rows[:, 0], rows[:, 7] = 0.1, 0.5  # the last cell is in the second box
    spans = (*((i, i + 1) for i in range(len(text))), (len(text), len(text)))
    generation = Generation(
        text, (4, 8), spans, (Tile(0, (2, 4), 4, (0, 0, 8, 4)),), rows, rows[0], input_size=(4, 8)
    )  # fmt: skip
    request = [(Image.new("RGB", (8, 4)), generation, "")]
    ((united,),) = BoxAttention(BoxSegmenter(), "json_resized", "instances").extract(request)
    assert united.scores[NAME] == pytest.approx(0.3)
    assert [part.scores[NAME] for part in united.parts] == pytest.approx([0.1, 0.5])
    (each,) = BoxAttention(BoxSegmenter(), "json_resized", "candidates").extract(request)
    assert [c.scores[NAME] for c in each] == pytest.approx([0.1, 0.1, 0.5, 0.5])
    assert ByScore(NAME).select_one(make_example(each[0].mask), each, "ground").index == 3  # the segmenter's .8, not .3
    cut = replace(generation, text=text[:-2], spans=spans[: len(text) - 3], attention=rows[: len(text) - 3])
    ((mask,),) = BoxAttention(BoxSegmenter(), "json_resized", "instances").extract([(request[0][0], cut, "")])
    # The last number ends the answer: it is no query.
    assert [part.scores for part in mask.parts] == [{NAME: pytest.approx(0.1)}, {}]
    assert mask.scores == {NAME: pytest.approx(0.1)}
    with pytest.raises(ValueError, match="carries no attention"):
        BoxAttention(BoxSegmenter(), "json_resized").extract([(request[0][0], replace(generation, attention=None), "")])


def test_a_run_shows_the_box_that_it_looked_into_most(tmp_path: Path) -> None:
    text = "[0.0, 0.0, 0.5, 0.5] or [0.5, 0.0, 1.0, 0.5]"
    over = ["extraction=box_attention", "extraction.extractors.text_box.format=list_image"]
    result = says(text, [RLE.full((48, 64))] * 4, tmp_path, *over)
    run = RunData.open(result.folder)
    for example in run.examples:
        candidates = run.candidates(example, "ground", "each_box")
        values = [candidate.scores[NAME] for candidate in candidates]
        assert len(values) == 2 and min(values) > 0
        (united,) = run.candidates(example, "ground", "text_box")
        assert united.scores[NAME] == pytest.approx(np.mean(values), abs=1e-6)
        choice = run.choice(example, "ground", "box_attention")
        assert choice.index == int(np.argmax(values)) and choice.reason == f"box_attention {max(values):.3f}"
    with pytest.raises(UserError, match=r"this model gives no attention to extract from: use model\.capture=step"):
        says(text, [RLE.full((48, 64))], tmp_path, *over, "model.capture=none")
    with pytest.raises(UserError, match=r"layers=1: the model keeps no layers apart .*model\.keep=layers"):
        says(text, [RLE.full((48, 64))], tmp_path, *over, "extraction.extractors.text_box.layers=1")
