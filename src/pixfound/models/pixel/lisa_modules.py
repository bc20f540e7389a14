"""The modules of LISA and GLaMM: LLaVA, SAM, and the two layers between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image
from torch import Tensor, nn

from pixfound.checkpoints.loading import load_pretrained
from pixfound.models.pixel.seg_decode import sam_logits, to_masks
from pixfound.types.masks import RLE

_VIT_H: Mapping[str, Any] = {
    "vision_config": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
        "mlp_dim": 5120,
    }
}


class LisaModules(nn.Module):
    """The modules: `language` is LLaVA, `sam` is SAM, `text_hidden_fcs` maps a hidden state to SAM's prompt.

    config: of LLaVA. prompt_width: of SAM's prompt. sam: SamConfig's arguments for a SAM other than ViT-H, or None.
    linear: True for a projector of one linear layer (LISA), False for the two layers of LLaVA-1.5.
    """

    def __init__(self, config: Any, prompt_width: int, sam: Mapping[str, Any] | None, linear: bool) -> None:
        from transformers import LlavaForConditionalGeneration, SamConfig, SamModel

        super().__init__()
        self.language = LlavaForConditionalGeneration(config)
        width = config.text_config.hidden_size
        if linear:
            self.language.model.multi_modal_projector = nn.Linear(config.vision_config.hidden_size, width)
        sam_config = SamConfig(**(sam or _VIT_H))
        sam_config.mask_decoder_config.layer_norm_eps = 1e-5  # Meta's decoder; transformers takes the encoder's 1e-6
        self.sam = SamModel(sam_config)
        self.text_hidden_fcs = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, prompt_width))

    def load_clip(self, folder: str, path: str) -> None:
        """Load CLIP's published weights from a folder. path: `model.vision_tower` as typed, for errors."""
        from transformers import CLIPVisionModel

        tower = load_pretrained(CLIPVisionModel, folder, path, "model.vision_tower", dtype=self.language.dtype)
        self.language.model.vision_tower.load_state_dict(tower.state_dict())

    def draw(self, image: Image.Image, states: Tensor) -> tuple[RLE, ...]:
        """Masks for hidden states (S, D): S masks of the image's size."""
        return to_masks(self.logits(image, states))

    def logits(self, image: Image.Image, states: Tensor) -> Iterator[Tensor]:
        """Yield the logits (H, W) of each of the S masks of `draw`."""
        return sam_logits(self.sam, image, self.text_hidden_fcs(states))
