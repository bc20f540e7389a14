"""The recipe of the miniature models: its command runs, and what it teaches is what is asked at inference."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.training import llava, pixel, tower, train, words
from experiments.training.intervals import over_seeds
from experiments.training.packing import Packer
from experiments.training.pixel import SHARES, Pixel
from experiments.training.pixel_measures import load, mask_items
from experiments.training.questions import TRAIN_SEED, VALIDATION_SEED, draw_turns, uniform_prompts
from experiments.training.segmenting import REPLY, draw_mixed

from pixfound.benchmarks.pixshapes import CATEGORIES, PixShapes
from pixfound.benchmarks.scenes import COLOURS, SHAPES, SIZE
from pixfound.checkpoints import conversion
from pixfound.checkpoints.locating import locate
from pixfound.prompts.builder import Prompts
from pixfound.types import Prompt
from tests.support.command import run_command
from tests.support.run import config_of

ROOT = Path(__file__).parents[2]


def test_the_command_trains_and_exports_both(tmp_path: Path) -> None:
    done = run_command(train.main, "--out", str(tmp_path), "--scale", "0.0005", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    from transformers import AutoProcessor, LlavaForConditionalGeneration, SamModel, SamProcessor

    LlavaForConditionalGeneration.from_pretrained(tmp_path / "tiny_llava")
    AutoProcessor.from_pretrained(tmp_path / "tiny_llava")
    SamModel.from_pretrained(tmp_path / "tiny_sam")
    SamProcessor.from_pretrained(tmp_path / "tiny_sam")


def test_the_pixel_level_recipe_trains_and_exports_what_lisa_reads(tmp_path: Path) -> None:
    done = run_command(pixel.main, "--out", str(tmp_path), "--scale", "0.004", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    examples = PixShapes(pairs=1)
    assert len(mask_items(load(tmp_path), examples)["drawn_present"]) == sum(not e.absent for e in examples)
    shipped, made = (
        conversion.Checkpoint(str(f), "x") for f in (locate("embedded:tiny_pixel", "x"), tmp_path / "tiny_pixel")
    )
    assert sorted(shipped.names) == sorted(made.names)


def test_masks_are_taught_from_the_state_and_with_the_decoding_of_inference() -> None:
    """The packed training pass gives the logits that the package draws masks from."""
    model = load(ROOT / "src/pixfound/weights")
    language, modules = model.loaded(), model._modules
    drawn = [draw_mixed(np.random.default_rng(seed), uniform_prompts(), SHARES) for seed in (1, 2)]
    scenes, packer = [scene for scene, _, _ in drawn], Packer(model.tokenizer)
    packed = packer([turns for _, turns, _ in drawn])
    language.set_attn_implementation({"text_config": "packed"})
    with torch.no_grad():
        states = llava.answer_states(language, packed, tower.pictures(scenes), packer.first)
        states = states[packed.wanted == model.tokenizer.convert_tokens_to_ids(words.SEG)]
        owners = [index for index, (_, _, asked) in enumerate(drawn) for _ in asked]
        logits = Pixel.draw(modules, scenes, owners, states)
    language.set_attn_implementation({"text_config": "sdpa"})
    asked = [turn.prompt for _, turns, _ in drawn for turn in turns if turn.category == "segment"]
    prompts = [Prompt(str(i), "ground", "lisa", text) for i, text in enumerate(asked)]
    said = model.generate([(scenes[owner].render(), p) for owner, p in zip(owners, prompts, strict=True)])
    assert len(said) == len(logits) > 8
    for generation, low in zip(said, logits, strict=True):
        assert generation.text.strip() == REPLY
        high = torch.nn.functional.interpolate(low[None, None], (SIZE, SIZE), mode="bilinear")[0, 0].numpy()
        different = generation.masks[0].decode() != (high > 0)
        assert not (different & (np.abs(high) > 1e-2)).any()


def test_the_mixture_names_what_is_there_in_lisas_proportions() -> None:
    rng, prompts = np.random.default_rng(3), uniform_prompts()
    drawn = [draw_mixed(rng, prompts, SHARES) for _ in range(100)]
    asked = [(scene, things) for scene, _, found in drawn for things in found]
    assert len(asked) / sum(len(turns) for _, turns, _ in drawn) == pytest.approx(13 / 16, abs=0.05)
    assert all(things and set(things) <= set(scene.things) for scene, things in asked)
    for scene, turns, found in drawn:
        texts = [t.prompt for t in turns if t.category == "segment"]
        for text, things in zip(texts, found, strict=True):
            named = {w.rstrip("s") for w in re.findall(r"[a-z]+", text)} & {
                *COLOURS,
                *SHAPES,
                "small",
                "large",
                "marked",
                "plain",
            }
            facts = [{t.colour, t.shape, t.size, "marked" if t.marked else "plain"} for t in things]
            assert all(named <= known for known in facts)
            if named:
                others = [t for t in scene.things if t not in things]
                assert " at the " in text or not any(
                    named <= {t.colour, t.shape, t.size, "marked" if t.marked else "plain"} for t in others
                )


def test_training_never_draws_the_benchmarks_seed() -> None:
    seed = config_of()["benchmark"]["seed"]
    assert seed < VALIDATION_SEED < TRAIN_SEED
    digests = {e.image.digest() for e in PixShapes(pairs=40, seed=seed)}
    rng, prompts, shares = np.random.default_rng(TRAIN_SEED + 2), uniform_prompts(), dict.fromkeys(CATEGORIES, 1.0)
    drawn = [draw_turns(rng, prompts, shares)[0] for _ in range(40)]
    assert not digests & {tower_digest(scene) for scene in drawn}


def tower_digest(scene: object) -> str:
    from pixfound.benchmarks.scenes import Scene, SceneImage

    assert isinstance(scene, Scene)
    return SceneImage(scene).digest()


def test_packed_questions_are_the_single_prompts_of_the_chat_template() -> None:
    processor = words.build_processor(words.build_tokenizer(words.sample_texts()))
    rng, prompts, shares = np.random.default_rng(5), uniform_prompts(), dict.fromkeys(CATEGORIES, 1.0)
    drawn = [draw_turns(rng, prompts, shares) for _ in range(2)]
    pixels = tower.pictures([scene for scene, _ in drawn])
    real = processor.image_processor([scene.render() for scene, _ in drawn], return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, real)
    torch.manual_seed(0)
    model = llava.build(tower.build(), processor, pixels).eval()
    packer = Packer(processor.tokenizer)
    packed = packer([turns for _, turns in drawn])
    model.set_attn_implementation({"text_config": "packed"})
    with torch.no_grad():
        logits = llava.answer_logits(model, packed, pixels, packer.first)
    model.set_attn_implementation({"text_config": "sdpa"})
    place = 0
    for scene, turns in drawn:
        for turn in turns:
            content = [{"type": "image"}, {"type": "text", "text": turn.prompt}]
            text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
            whole = processor(text=[f"{text} {turn.answer}</s>"], images=[scene.render()], return_tensors="pt")
            start = processor(text=[text], images=[scene.render()], return_tensors="pt")["input_ids"].shape[1]
            with torch.no_grad():
                alone = model(**whole).logits[0, start - 1 : -1]
            end = place + len(alone)
            assert torch.equal(packed.wanted[place:end], whole["input_ids"][0, start:])
            assert torch.allclose(logits[place:end], alone, atol=1e-4)
            place = end
    assert place == len(packed.wanted)


def test_it_is_taught_with_the_prompts_of_the_default_config() -> None:
    assert uniform_prompts().texts == Prompts(**without_target(config_of()["prompts"])).texts


def without_target(config: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in config.items() if k != "_target_"}


@pytest.mark.parametrize("word", ["mask", "box", "gt_mask", "pixel_mask"])
def test_the_language_models_training_touches_no_mask(word: str) -> None:
    """Grounding must emerge: the files that train tower and decoder do not even name one."""
    for name in ("tower.py", "llava.py", "packing.py", "words.py"):
        code = re.sub(r'""".*?"""|#.*', "", (ROOT / "experiments/training" / name).read_text(), flags=re.DOTALL)
        names = set(re.findall(r"[A-Za-z_]+", code)) - {"attention_mask", "masked_fill"}
        assert word not in names, f"{name} names {word}"


def test_intervals_over_trainings_are_those_of_the_t_distribution() -> None:
    assert over_seeds([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    # Equal variances and sizes: Welch's degrees of freedom are 2 (n - 1) = 4, of which t is 2.77645.
    half = 2.77645 * (2 / 3) ** 0.5
    assert over_seeds([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx((3.0, 3 - half, 3 + half), abs=1e-4)


def test_the_page_of_the_miniatures_holds_the_figures_of_its_trainings() -> None:
    runs = json.loads((ROOT / "experiments/training/pixel_runs.json").read_text())
    assert [sorted(of) for of in runs.values()] == [["0", "1", "2"]] * 2
    page = (ROOT / "docs/miniature.md").read_text()
    for name in ("choice", "open"):
        for level in ("easy", "medium"):
            pixel, control = (
                [100 * run[level][name]["mean"] for run in runs[model].values()] for model in ("pixel-level", "control")
            )
            assert f"| {np.mean(control):.1f} [" in page
            assert f"| {np.mean(pixel):.1f} [" in page
            assert f"| {np.mean(pixel) - np.mean(control):+.1f} [" in page
    assert min(run["easy"]["iou_present"]["mean"] for run in runs["pixel-level"].values()) >= 0.7
