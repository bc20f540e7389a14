"""The model of Cambrian-1 as a LLaVA of transformers' whose image is read by the Spatial Vision Aggregator.

Layers of the aggregator stand between layers of the language model too, and update the states at the image's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, LlavaConfig, LlavaForConditionalGeneration, LlavaModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pixfound.models.cambrian.aggregator import Connector, Windows
from pixfound.models.cambrian.inputs import Pictures
from pixfound.models.cambrian.towers import Towers
from pixfound.models.geometry.layouts import kept_of_square


@dataclass(frozen=True)
class Design:
    """The settings of a published config.json that shape the connector.

    grids, widths: of each tower's features, the grid's side and the width. side: of the grid of tokens. inner, depth:
    the connector's width and layers. samplers: how many layers of it stand in the language model, the first behind
    layer `start`, and then one every `stride` layers. image_position: where the image starts among the tokens.
    """

    grids: Sequence[int]
    widths: Sequence[int]
    side: int
    inner: int
    depth: int
    samplers: int
    start: int
    stride: int
    image_position: int


@dataclass
class Seen(BaseModelOutputWithPooling):  # type: ignore[misc]
    """What the towers saw. pooler_output: the tokens of each image. windows: of the cells among all of them.

    grids: (rows, columns) of cells of each image.
    """

    windows: Windows | None = None
    grids: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class _Look:
    """What the layers in the language model read in the pass that runs. starts: where each image's tokens begin."""

    windows: Windows
    grids: list[tuple[int, int]]
    starts: list[int]


class CambrianModel(LlavaModel):  # type: ignore[misc]
    """LLaVA's model with other eyes. The towers are put in after the checkpoint, which lacks them, is loaded."""

    def __init__(self, config: LlavaConfig, design: Design, pictures: Pictures) -> None:
        super(LlavaModel, self).__init__(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.connector = Connector(
            design.widths,
            design.grids,
            design.side,
            design.inner,
            design.depth,
            config.text_config.hidden_size,
            design.samplers,
        )
        self.design, self.pictures = design, pictures
        self.towers: Towers
        self._look: _Look | None = None
        for i, sampler in enumerate(self.connector.samplers):
            layer = self.language_model.layers[design.start + i * design.stride]
            layer.register_forward_hook(partial(self._read_again, sampler))
        self.post_init()

    def forward(
        self,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> Any:
        """As LLaVA's, with pixel_values (B, F) of `Pictures.flat` and image_sizes (B, 2) as (height, width)."""
        encoded = dict(mm_encoder_outputs or {})
        if pixel_values is not None and image_sizes is not None:
            encoded["image"] = self.get_image_features(pixel_values, image_sizes)
        seen = encoded.get("image")
        if seen is not None:
            first = [0] * len(seen.grids) if attention_mask is None else attention_mask.argmax(dim=1).tolist()
            self._look = _Look(seen.windows, seen.grids, [start + self.design.image_position for start in first])
        try:
            return super().forward(attention_mask=attention_mask, mm_encoder_outputs=encoded, **inputs)
        finally:
            self._look = None

    def get_image_features(self, pixel_values: Tensor, image_sizes: Tensor, **_: Any) -> Seen:
        """The tokens of each image, and what the layers in the language model will read of it."""
        sizes = [(int(h), int(w)) for h, w in image_sizes.tolist()]
        tokens, windows = self.connector(self.towers(self.pictures.split(pixel_values)), sizes)
        kept = [kept_of_square(size, self.design.side) for size in sizes]
        grids = [(foot - top, right - left) for top, foot, left, right in kept]
        return Seen(pooler_output=tokens, windows=windows, grids=grids)

    def _read_again(self, sampler: nn.Module, _: nn.Module, __: Any, states: Tensor) -> Tensor | None:
        """The layer's output, with the image's tokens updated. states: (B, P, width)."""
        look = self._look
        if look is None:
            return None
        states = states.clone()
        grids = [
            states[i, start : start + h * (w + 1)].view(h, w + 1, -1)[:, :w]
            for i, (start, (h, w)) in enumerate(zip(look.starts, look.grids, strict=True))
        ]
        read = sampler(torch.cat([grid.reshape(-1, grid.shape[-1]) for grid in grids])[:, None], look.windows)[:, 0]
        for grid, new in zip(grids, read.split([h * w for h, w in look.grids]), strict=True):
            grid.copy_(new.view_as(grid))
        return states


class Cambrian1(LlavaForConditionalGeneration):  # type: ignore[misc]
    """The model and the layer that says words."""

    def __init__(self, config: LlavaConfig, design: Design, pictures: Pictures) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = CambrianModel(config, design, pictures)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
