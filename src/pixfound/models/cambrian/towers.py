"""The four vision towers of Cambrian-1 (arXiv 2406.16860), from their own repositories, run as in the original."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixfound.checkpoints import conversion
from pixfound.checkpoints.loading import load_pretrained
from pixfound.models.cambrian import TOWERS

CONVNEXT = conversion.KeyMap(  # timm's names, in a repository of timm's or as the image side of an open_clip one
    parts=(
        (r"(visual\.trunk\.)?stem\.0\.", "embeddings.patch_embeddings.", ()),
        (r"(visual\.trunk\.)?stem\.1\.", "embeddings.layernorm.", ()),
        (
            r"(visual\.trunk\.)?stages\.",
            "encoder.stages.",
            (
                (r"^(\d+)\.downsample\.", r"\1.downsampling_layer."),
                (r"^(\d+)\.blocks\.", r"\1.layers."),
                (r"\.conv_dw\.", ".dwconv."),
                (r"\.norm\.", ".layernorm."),
                (r"\.mlp\.fc(\d)\.", r".pwconv\1."),
                (r"\.gamma$", ".layer_scale_parameter"),
            ),
        ),
    ),
    dropped={
        r"^(visual\.)?(trunk\.)?head\.": "the head, which pools the picture; its grid is read",
        r"^(transformer|token_embedding|ln_final)\.": "reads texts",
        r"^(positional_embedding|text_projection|logit_scale|logit_bias|attn_mask)$": "reads texts, or compares",
    },
)
_XXLARGE: Mapping[str, Any] = {"depths": [3, 4, 30, 3], "dims": [384, 768, 1536, 3072], "norm_eps": 1e-5}
_FLOOR = 0.1  # DINOv2's own code adds it to the grid's side before it resamples position embeddings


class Towers(nn.Module):
    """The four towers: each maps its input square to a grid of features.

    folders: of each tower's checkpoint. sides: of its input square, in pixels. grids: side of the grid to which its
    features are resized. layer: index of CLIP's hidden state to use.
    """

    def __init__(
        self,
        folders: Mapping[str, str],
        sides: Mapping[str, int],
        grids: Mapping[str, int],
        layer: int,
        dtype: torch.dtype,
    ) -> None:
        from transformers import CLIPVisionModel, Dinov2Model, SiglipVisionModel

        super().__init__()
        self.grids, self.layer = dict(grids), layer

        def load(architecture: Any, name: str, **options: Any) -> Any:
            folder = folders[name]
            return load_pretrained(architecture, folder, folder, f"model.towers.{name}.path", dtype=dtype, **options)

        # timm's SigLIP, which the connector was trained on, has the exact GELU
        self.siglip = load(SiglipVisionModel, "siglip", hidden_act="gelu")
        self.clip = load(CLIPVisionModel, "clip")
        self.dinov2 = load(Dinov2Model, "dinov2")
        resample_positions(self.dinov2, sides["dinov2"])
        convnext = load_convnext(folders["convnext"], dtype)
        self._stages = sum(convnext.config.hidden_sizes)
        # no model of transformers' any more: it would refuse the attention that the language model is given
        self.convnext = nn.ModuleList([convnext.embeddings, *convnext.encoder.stages])

    def widths(self) -> list[int]:
        """Width of each tower's features, in the order of `TOWERS`."""
        return [*(t.config.hidden_size for t in (self.siglip, self.clip, self.dinov2)), self._stages]

    def forward(self, views: list[Tensor]) -> list[Tensor]:
        """Features (B, grid * grid, width) of each tower. views: input squares (B, 3, side, side) of each."""
        encoders = (self._siglip, self._clip, self._dinov2, self._convnext)
        return [encode(view, self.grids[tower]) for encode, view, tower in zip(encoders, views, TOWERS, strict=True)]

    def _siglip(self, pixels: Tensor, grid: int) -> Tensor:
        return _regrid(self.siglip(pixels).last_hidden_state, grid)

    def _clip(self, pixels: Tensor, grid: int) -> Tensor:
        return _regrid(self.clip(pixels, output_hidden_states=True).hidden_states[self.layer][:, 1:], grid)

    def _dinov2(self, pixels: Tensor, grid: int) -> Tensor:
        return _regrid(self.dinov2(pixels).last_hidden_state[:, 1:], grid)

    def _convnext(self, pixels: Tensor, grid: int) -> Tensor:
        """Features of all stages, concatenated along the width."""
        stages, features = [], self.convnext[0](pixels)
        for stage in self.convnext[1:]:
            features = stage(features)
            stages.append(_resize(features, grid).flatten(2).transpose(1, 2))
        return torch.cat(stages, dim=-1)


def _regrid(features: Tensor, grid: int) -> Tensor:
    """Features (B, N, D) of a square grid, resized to (B, grid * grid, D)."""
    side = int(features.shape[1] ** 0.5)
    if side == grid:
        return features
    square = features.transpose(1, 2).reshape(*features.shape[::2], side, side)
    return _resize(square, grid).flatten(2).transpose(1, 2)


def _resize(square: Tensor, side: int) -> Tensor:
    """Bilinear resize of (B, D, h, w) to (B, D, side, side), computed in fp32; same dtype as the input."""
    resized = functional.interpolate(square.float(), size=(side, side), mode="bilinear", align_corners=False)
    return resized.to(square.dtype)


def resample_positions(dinov2: Any, pixels: int) -> None:
    """Resample DINOv2's position embeddings in place for a square of `pixels`, as transformers 4.37 did.

    Later versions scale by the ratio of the grids without `_FLOOR`, which shifts every embedding a little.
    """
    stored = dinov2.embeddings.position_embeddings.detach()
    before, after = int((stored.shape[1] - 1) ** 0.5), pixels // dinov2.config.patch_size
    if before == after:
        return
    square = stored[0, 1:].T.reshape(1, -1, before, before).float()
    scale = (after + _FLOOR) / before
    resampled = functional.interpolate(square, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    grid = resampled.flatten(2).transpose(1, 2).to(stored.dtype)
    dinov2.embeddings.position_embeddings = nn.Parameter(torch.cat([stored[:, :1], grid], dim=1))


def load_convnext(folder: str, dtype: torch.dtype) -> Any:
    """The ConvNeXt-XXL of CLIP without its head; other settings where config.json has timm's `model_args`."""
    checkpoint = conversion.Checkpoint(folder, folder, "model.towers.convnext.path")
    with conversion.building(str(dtype).removeprefix("torch."), "model.dtype"):
        model = build_convnext(json.loads((Path(folder) / "config.json").read_text()).get("model_args") or {})
    conversion.load_strict(model, checkpoint, CONVNEXT)
    return model.eval()


def build_convnext(arguments: Mapping[str, Any]) -> Any:
    """A ConvNeXt without weights. arguments: timm's depths, dims and norm_eps; those left out are the XXL's."""
    from transformers import ConvNextConfig, ConvNextModel

    settings = {**_XXLARGE, **arguments}
    model = ConvNextModel(ConvNextConfig(depths=settings["depths"], hidden_sizes=settings["dims"]))
    model.layernorm = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = settings["norm_eps"]  # of the largest ConvNeXt; transformers has that of the others
    return model
