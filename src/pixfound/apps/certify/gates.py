"""The gates: checks of a loaded model, each with a measured value and a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from pixfound.apps.certify.probes import Probe, chance, move_pixels
from pixfound.interfaces import without_errors
from pixfound.models.chat_template import usually_has_one
from pixfound.models.decoder_model import DecoderModel
from pixfound.types import Example, FloatArray, Generation, Prompt

Request = tuple[Image.Image, Prompt]
_EXACT, _ROUGH = 1e-5, 5e-3  # how far rows may differ in 32 bits, and in fewer
_HITS = 0.75  # required share of hits
_SPOTS = 8  # an image


@dataclass(frozen=True)
class Gate:
    """One check. passed: None where it does not apply. value, limit: the measured value and its limit."""

    name: str
    passed: bool | None
    value: float | None
    limit: str
    detail: str = ""


@dataclass(frozen=True)
class Findings:
    """All gates, and the data for the certificate's picture."""

    gates: tuple[Gate, ...]
    golden: Example
    generation: Generation
    prompt: str
    probes: tuple[tuple[Image.Image, tuple[Probe, ...]], ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True if no gate failed."""
        return all(gate.passed is not False for gate in self.gates)


def run_gates(model: DecoderModel, examples: Sequence[Example], prompts: Sequence[Prompt]) -> Findings:
    """Run every gate, with greedy decoding and without a forced start of the answer.

    examples: the first one is the golden one. prompts: the question for each example.
    """
    images = [example.image.load() for example in examples]
    requests = list(zip(images, prompts, strict=True))
    capture = "step" if model.captures else "none"
    with _changed(model, capture=capture, generation={**model.generation, "do_sample": False}, answer_prefix=None):
        return _run(model, examples, prompts, images, requests)


def _run(
    model: DecoderModel,
    examples: Sequence[Example],
    prompts: Sequence[Prompt],
    images: Sequence[Image.Image],
    requests: Sequence[Request],
) -> Findings:
    together = without_errors(model.generate(requests))
    alone = [without_errors(model.generate([request]))[0] for request in requests]
    if not model.captures:
        why = "model.capture=none: its answers alone are used"
        shut = [Gate(name, None, None, "", why) for name in ("attention", "forced pass", "geometry")]
        gates = (_template_gate(model), _same_text("batch", together, alone, _exact(model)), *shut)
        return Findings(gates, examples[0], alone[0], prompts[0].text)
    probed = tuple((image, tuple(move_pixels(model, image, _SPOTS, seed))) for seed, image in enumerate(images))
    gates = (
        _template_gate(model),
        _same_text("text with and without capture", together, _without_capture(model, requests), True),
        _same_text("batch", together, alone, _exact(model)),
        _eager_gate(model, requests, alone),
        _forced_gate(model, requests, together),
        _geometry_gate(model, images, [probe for _, probes in probed for probe in probes]),
    )
    return Findings(gates, examples[0], alone[0], prompts[0].text, probed)


def _template_gate(model: DecoderModel) -> Gate:
    """Fails where the prompt has no chat template but models of the kind need one; does not apply to others."""
    name, cautions = "chat template", model.cautions()
    if not cautions:
        return Gate(
            name, True, None, "", "the one that was given" if "chat_template" in model.identity() else "its own"
        )
    processor = type(model.processor).__name__
    if usually_has_one(model.processor):
        return Gate(name, False, None, "", f"none, and models with a {processor} are asked through one")
    return Gate(name, None, None, "", f"none, as models with a {processor} have: prompts are bare text")


def _exact(model: DecoderModel) -> bool:
    return bool(model.loaded().dtype.itemsize >= 4)


def _limit(model: DecoderModel) -> float:
    return _EXACT if _exact(model) else _ROUGH


@contextmanager
def _attention(model: DecoderModel, name: str) -> Iterator[None]:
    """Switch the text decoder to another attention function inside the `with` block."""
    loaded = model.loaded()
    before = loaded.config.get_text_config()._attn_implementation
    loaded.set_attn_implementation({"text_config": name})
    try:
        yield
    finally:
        loaded.set_attn_implementation({"text_config": before})


@contextmanager
def _changed(model: DecoderModel, **options: Any) -> Iterator[None]:
    """Change options of the adapter inside the `with` block."""
    before = {name: getattr(model, name) for name in options}
    for name, value in options.items():
        setattr(model, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(model, name, value)


def _without_capture(model: DecoderModel, requests: Sequence[Request]) -> list[Generation]:
    """The answers with the attention function that transformers chooses by default."""
    default = model.loaded().get_decoder().get_correct_attn_implementation(None)
    with _changed(model, capture="none"), _attention(model, default):
        return without_errors(model.generate(requests))


def _same_text(name: str, actual: Sequence[Generation], expected: Sequence[Generation], strict: bool) -> Gate:
    equal = [a.text == b.text for a, b in zip(actual, expected, strict=True)]
    share = sum(equal) / len(equal)
    note = "" if all(equal) or strict else "in 16 bits another batch rounds otherwise, so this gate does not shut"
    return Gate(name, all(equal) or (None if not strict else False), share, "all answers equal", note)


def _eager_gate(model: DecoderModel, requests: Sequence[Request], generations: Sequence[Generation]) -> Gate:
    """Compare captured rows with eager attention; only rows of the prompt where the two answers differ."""
    from pixfound.apps.certify.eager import NAME, EagerRows
    from pixfound.models.attention.prefix_sharing import greedy
    from pixfound.models.attention.recorder import whole_passes

    worst, compared = 0.0, 0
    loaded = model.loaded()
    for request, generation in zip(requests, generations, strict=True):
        inputs = model.encode([request])
        columns = (inputs["input_ids"][0] == loaded.config.image_token_id).nonzero()[:, 0]
        recorder = EagerRows(columns, model.layers, model.heads)
        config = greedy(loaded.generation_config, **model.generation)
        with _attention(model, NAME), recorder.active():
            output = loaded.generate(**inputs, **whole_passes(loaded), generation_config=config)
        ids = output[0, inputs["input_ids"].shape[1] :]
        rows, ours = recorder.rows().cpu().numpy(), _all_rows(generation)
        text = model.tokenizer.decode(ids, skip_special_tokens=True)
        # Where rounding changed the answer, only the rows of the prompt can be compared.
        length = min(len(rows), len(ours)) if text.lstrip() == generation.text else 2
        worst = max(worst, float(np.abs(rows[:length] - ours[:length]).max()))
        compared += length
    limit = _limit(model)
    return Gate("attention", worst <= limit, worst, f"<= {limit:g}", f"{compared} rows against eager attention")


def _forced_gate(model: DecoderModel, requests: Sequence[Request], generations: Sequence[Generation]) -> Gate:
    with _changed(model, capture="forced"):
        forced = without_errors(model.generate(requests))
    pairs = [(a, b) for a, b in zip(forced, generations, strict=True) if a.text == b.text]
    worst = max((float(np.abs(_all_rows(a) - _all_rows(b)).max()) for a, b in pairs), default=float("inf"))
    limit = _limit(model)
    return Gate("forced pass", worst <= limit, worst, f"<= {limit:g}", "one pass over the answer, against every step")


def _geometry_gate(model: DecoderModel, images: Sequence[Image.Image], probes: Sequence[Probe]) -> Gate:
    share = sum(probe.hit for probe in probes) / max(1, len(probes))
    random = chance([tile for image in images for tile in model.tiles(image)])
    detail = f"{len(probes)} times moved pixels changed the token that lies there; by chance {random:.2f}"
    return Gate("geometry", share >= _HITS, share, f">= {_HITS}", detail)


def _all_rows(generation: Generation) -> FloatArray:
    assert generation.attention is not None
    assert generation.penultimate is not None
    return np.concatenate([generation.penultimate[None], generation.attention])
