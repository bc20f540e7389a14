"""The model of Cambrian-1: transformers' LLaVA with the Spatial Vision Aggregator as its connector.

Cross-attention layers between layers of the language model update the hidden states of the image tokens too.
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
    """The settings of a published config.json that define the connector.

    grids, widths: side of the grid, and width, of each tower's features. side: of the token grid. inner, depth: width
    and number of layers of the connector. samplers: number of cross-attention layers in the language model, the first
    after layer `start`, then one every `stride` layers. image_position: index of the first image token in a prompt.
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
class ImageFeatures(BaseModelOutputWithPooling):  # type: ignore[misc]
    """Image features of a batch. pooler_output: tokens of each image. windows: of the cells of all images.

    grids: (rows, columns) of cells of each image.
    """

    windows: Windows | None = None
    grids: list[tuple[int, int]] | None = None


@dataclass(frozen=True)
class _Look:
    """Input of the cross-attention layers in the current pass. starts: index of each row's first image token."""

    windows: Windows
    grids: list[tuple[int, int]]
    starts: list[int]


class CambrianModel(LlavaModel):  # type: ignore[misc]
    """LLaVA's model with the connector. `towers` is set after the checkpoint, which lacks them, is loaded."""

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
        """LLaVA's forward pass, with pixel_values (B, F) from `Pictures.flat` and image_sizes (B, 2) of (H, W)."""
        encoded = dict(mm_encoder_outputs or {})
        if pixel_values is not None and image_sizes is not None:
            encoded["image"] = self.get_image_features(pixel_values, image_sizes)
        features = encoded.get("image")
        if features is not None:
            first = [0] * len(features.grids) if attention_mask is None else attention_mask.argmax(dim=1).tolist()
            self._look = _Look(
                features.windows, features.grids, [start + self.design.image_position for start in first]
            )
        try:
            return super().forward(attention_mask=attention_mask, mm_encoder_outputs=encoded, **inputs)
        finally:
            self._look = None

    def get_image_features(self, pixel_values: Tensor, image_sizes: Tensor, **_: Any) -> ImageFeatures:
        """Tokens of each image, with the windows and grids for the cross-attention layers in the language model."""
        sizes = [(int(h), int(w)) for h, w in image_sizes.tolist()]
        tokens, windows = self.connector(self.towers(self.pictures.split(pixel_values)), sizes)
        cells = [kept_of_square(size, self.design.side) for size in sizes]
        grids = [(foot - top, right - left) for top, foot, left, right in cells]
        return ImageFeatures(pooler_output=tokens, windows=windows, grids=grids)

    def _read_again(self, sampler: nn.Module, _: nn.Module, __: Any, states: Tensor) -> Tensor | None:
        """Hook of a decoder layer: its output (B, P, width) with the image tokens updated by `sampler`.

        None, which leaves the output unchanged, in passes without images.
        """
        look = self._look
        if look is None:
            return None
        states = states.clone()
        grids = [
            states[i, start : start + h * (w + 1)].view(h, w + 1, -1)[:, :w]
            for i, (start, (h, w)) in enumerate(zip(look.starts, look.grids, strict=True))
        ]
        updated = sampler(torch.cat([grid.reshape(-1, grid.shape[-1]) for grid in grids])[:, None], look.windows)[:, 0]
        for grid, new in zip(grids, updated.split([h * w for h, w in look.grids]), strict=True):
            grid.copy_(new.view_as(grid))
        return states


class Cambrian1(LlavaForConditionalGeneration):  # type: ignore[misc]
    """The model with its language modelling head."""

    def __init__(self, config: LlavaConfig, design: Design, pictures: Pictures) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = CambrianModel(config, design, pictures)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
