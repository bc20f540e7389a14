"""Each way to make maps against plain generation without capture, in time and in memory.

A way is the generation with what its source needs, and a map of the expression for each prompt. The model, pictures and
prompts are those of `answering`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from experiments.speed.answering import TEXTS, Requests, ask, growth_of, load, noise
from experiments.speed.measuring import compare, figure

from pixfound.extractors.sources.gradients import EntropyGradient, GradientAttention
from pixfound.extractors.sources.localization_heads import LocalizationHeads
from pixfound.extractors.sources.logit_lens import LogitLens
from pixfound.extractors.sources.relative import Relative
from pixfound.extractors.sources.token_activation import TokenActivation
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.interfaces import MapRequest, MapSource
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation, Phrase

EXPRESSIONS = ("the red object", "circles", "the red object")  # TEXTS have their words
VOCABULARY = 1500  # tokens, so that the output matrix is as large a share of the weights (2 %) as in LLaVA-1.5-7B
_TURN = count()  # another neutral prompt each time, as the answers to one are kept for as long as their model is

Source = Callable[[HuggingFace], MapSource]
WAYS: Mapping[str, tuple[Mapping[str, Any], Source]] = {  # name -> options of the model, source
    "rows, mean": ({}, lambda model: TokenAttention(model=model)),
    "rows, layers": ({"keep": "layers"}, lambda model: TokenAttention(layers=0, model=model)),
    "rows, heads": ({"keep": "heads"}, lambda model: LocalizationHeads(heads=[(0, 0)], model=model)),
    "rows, forced": ({"capture": "forced"}, lambda model: TokenAttention(model=model)),
    "rows, second prompt": ({}, lambda model: Relative(model, neutral=f"Describe image {next(_TURN)} as a whole.")),
    "lens, last layer": ({"capture": "none", "lens": "last"}, lambda model: TokenActivation(model=model)),
    "lens, all layers": ({"capture": "none", "lens": "all"}, lambda model: LogitLens(model=model)),
    "gradient of attention": ({"capture": "none"}, GradientAttention),
    "gradient of entropy": ({"capture": "none"}, EntropyGradient),
}
_MEASURED = ("rows, mean", "rows, heads", "lens, all layers")  # their memory


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each figure as soon as it is known. Texts are compared first, and that there is a map for every prompt."""
    requests = ask(noise(options.images), TEXTS)
    plain = load(folder, options, capture="none")
    texts = [generation.text for generation in plain.generate(requests)]
    ways = {}
    for name, (settings, source) in WAYS.items():
        ways[name] = _way(load(folder, options, **settings), source, requests)
        generations, maps = ways[name]()
        assert [generation.text for generation in generations] == texts, name
        assert all(values is not None and values.any() for (values,) in maps), name
        yield compare(
            f"{name} vs plain generation",
            ways[name],
            lambda: plain.generate(requests),
            len(requests),
            options.repeats,
            clock=options.clock,
        )
    for name in _MEASURED:
        pairs = [(_growth(ways[name]), _growth(lambda: plain.generate(requests))) for _ in range(options.repeats)]
        yield figure(f"memory growth, {name} vs plain generation", pairs, "MB", higher_is_better=False)


def _way(
    model: HuggingFace, source: Source, requests: Requests
) -> Callable[[], tuple[Sequence[Generation], Sequence[Any]]]:
    """The generations of requests, and the maps of their expressions."""

    def run() -> tuple[Sequence[Generation], Sequence[Any]]:
        generations = model.answer(requests)
        asked = [
            MapRequest(image, generation, expression, [Phrase(expression, expression.split()[-1], (0, 0))])
            for (image, _), (generation, _), expression in zip(
                requests, generations, EXPRESSIONS * len(requests), strict=False
            )
        ]
        return [generation for generation, _ in generations], source(model).maps(asked)

    return run


def _growth(work: Callable[[], Any]) -> float:
    """MB by which the process grows at most, after it has given free memory back; Linux only."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return growth_of(work)
