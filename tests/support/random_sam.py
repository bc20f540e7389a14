"""A random SamModel with its processor, small enough for any test, saved as a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    SamConfig,
    SamImageProcessor,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)


def save_random_sam(folder: Path, seed: int = 0, image_size: int = 64) -> Path:
    """Write the model and its processor to `folder`."""
    torch.manual_seed(seed)
    size = {"image_size": image_size, "patch_size": 8}
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=16,
            output_channels=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_pos_feats=8,
            mlp_dim=32,
            global_attn_indexes=[0],
            window_size=0,
            initializer_range=0.02,
            **size,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=16, image_embedding_size=image_size // 8, mask_input_channels=4, **size
        ),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=16, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    )
    SamModel(config).eval().save_pretrained(folder)
    edge = {"longest_edge": image_size}
    pad = {"height": image_size, "width": image_size}
    SamProcessor(SamImageProcessor(size=edge, pad_size=pad)).save_pretrained(folder)
    return folder
