"""Gradients over the image tokens, from a backward pass of the model where the extraction runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pixfound.extractors.sources import check_offers, text_before
from pixfound.interfaces import Gradient, MapRequest, MapSource, Model
from pixfound.types import FloatArray, Tile
from pixfound.types.arguments import NonNegative


class _Gradients(MapSource):
    """The gradient where an answer stands before a phrase; for the expression, where the prompt ends."""

    needs_image = True
    of: ClassVar[Gradient]

    def __init__(self, model: Model, layer: int | None = None) -> None:
        check_offers(type(self), model)
        self.model, self.layer = model, layer

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None] | Exception]:
        """One backward pass for each phrase."""
        found: list[list[FloatArray | None] | Exception] = []
        for image, generation, _, phrases in requests:
            asked = [(image, generation.prompt, text_before(phrase, generation.text)) for phrase in phrases]
            maps = self.model.gradient_maps(asked, self.of, self.layer)
            failure = next((each for each in maps if isinstance(each, Exception)), None)
            found.append(failure or [each for each in maps if not isinstance(each, Exception)])
        return found

    def tiles(self, request: MapRequest) -> Sequence[Tile]:
        """Where the image tokens lie; of an answer without attention asked of the model."""
        return request.generation.tiles or self.model.tiles(request.image)


class GradientAttention(_Gradients):
    """Attention of one layer times the positive part of its gradient, "grad-att" of ViCrop (arXiv 2502.17422).

    The gradient is of the logarithm of the most probable next token's probability; rows of the last token, mean over
    heads. layer: None for the one as deep as layer 14 of 32, which the authors take for LLaVA-1.5-7B.
    """

    needs = ("attention gradients",)
    of = "attention"

    def __init__(self, model: Model, layer: NonNegative | None = None) -> None:
        super().__init__(model, layer)


class EntropyGradient(_Gradients):
    """Norm of the gradient of the next token's entropy at each image embedding (arXiv 2604.08456).

    It reads no attention, and serves models whose attention cannot be captured.
    """

    needs = ("gradients",)
    of = "entropy"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
