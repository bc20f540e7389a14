"""The modules of Sa2VA and RGA3: a multi-modal LLM, SAM 2, and the two layers between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image
from torch import Tensor, nn

from pixfound.models.pixel.seg_decode import sam2_logits, to_masks
from pixfound.types.masks import RLE

_HIERA_L: Mapping[str, Any] = {
    "vision_config": {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 144,
            "num_attention_heads": 2,
            "blocks_per_stage": [2, 6, 36, 4],
            "embed_dim_per_stage": [144, 288, 576, 1152],
            "num_attention_heads_per_stage": [2, 4, 8, 16],
            "global_attention_blocks": [23, 33, 43],
            "window_positional_embedding_background_size": [7, 7],
            "window_size_per_stage": [8, 4, 16, 8],
        },
        "backbone_channel_list": [1152, 576, 288, 144],
    }
}


class Sa2VAModules(nn.Module):
    """Modules: `language` is the MLLM, `sam2` SAM 2 for images, `text_hidden_fcs` maps hidden states to its prompts.

    config: transformers' config of the MLLM. sam: Sam2Config's arguments, None for Hiera-L. bf16_mean: see `Sa2VA`.
    """

    def __init__(self, config: Any, sam: Mapping[str, Any] | None, bf16_mean: bool) -> None:
        from transformers import AutoModelForImageTextToText, Sam2Config, Sam2Model

        super().__init__()
        self.language = AutoModelForImageTextToText.from_config(config)
        self.language.tie_weights()
        self.sam2 = Sam2Model(Sam2Config(**(sam or _HIERA_L)))
        width, prompt = config.get_text_config().hidden_size, self.sam2.config.mask_decoder_config.hidden_size
        self.text_hidden_fcs = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, prompt))
        self.bf16_mean = bf16_mean

    def draw(self, image: Image.Image, states: Tensor) -> tuple[RLE, ...]:
        """Masks for hidden states (S, D): S masks of the image's size."""
        return to_masks(self.logits(image, states))

    def logits(self, image: Image.Image, states: Tensor) -> Iterator[Tensor]:
        """Yield the logits (H, W) of each of the S masks of `draw`."""
        return sam2_logits(self.sam2, image, self.text_hidden_fcs(states), self.bf16_mean)
