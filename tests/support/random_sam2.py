"""Random models of SAM's relatives, small enough for any test, saved as folders with their processors' settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    Sam3TrackerConfig,
    Sam3TrackerMaskDecoderConfig,
    Sam3TrackerModel,
    Sam3TrackerPromptEncoderConfig,
    Sam3VisionConfig,
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
    SamImageProcessor,
)
from transformers.models.sam3.configuration_sam3 import Sam3ViTConfig

SIDE = 64
_DECODER = {"hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_random_sam_hq(folder: Path, seed: int = 0) -> Path:
    """A SamHQModel."""
    torch.manual_seed(seed)
    size = {"image_size": SIDE, "patch_size": 8}
    config = SamHQConfig(
        vision_config=SamHQVisionConfig(
            hidden_size=16, output_channels=16, num_hidden_layers=2, num_attention_heads=2, num_pos_feats=8,
            mlp_dim=32, global_attn_indexes=[1], window_size=4, initializer_range=0.02, **size,
        ),
        prompt_encoder_config=SamHQPromptEncoderConfig(
            hidden_size=16, image_embedding_size=SIDE // 8, mask_input_channels=4, **size
        ),
        mask_decoder_config=SamHQMaskDecoderConfig(**_DECODER, iou_head_hidden_dim=16, vit_dim=16),
    )  # fmt: skip
    _save(SamHQModel(config), folder)
    SamImageProcessor(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_random_sam2(folder: Path, seed: int = 0) -> Path:
    """A Sam2Model with a Hiera encoder of four stages."""
    torch.manual_seed(seed)
    hiera = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[3],
        window_positional_embedding_background_size=[2, 2],
    )  # fmt: skip
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=16,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=16, image_size=SIDE, mask_input_channels=4),
        mask_decoder_config=Sam2MaskDecoderConfig(**_DECODER, iou_head_hidden_dim=16),
    )  # fmt: skip
    _save(Sam2Model(config), folder)
    _save_settings(folder, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return folder


def save_random_sam3_tracker(folder: Path, seed: int = 0) -> Path:
    """A Sam3TrackerModel."""
    torch.manual_seed(seed)
    vit = Sam3ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
        patch_size=8, window_size=4, global_attn_indexes=[1], pretrain_image_size=SIDE,
    )  # fmt: skip
    grid = SIDE // 8
    config = Sam3TrackerConfig(
        vision_config=Sam3VisionConfig(
            backbone_config=vit, fpn_hidden_size=16,
            backbone_feature_sizes=[[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]],
        ),
        prompt_encoder_config=Sam3TrackerPromptEncoderConfig(
            hidden_size=16, image_size=SIDE, patch_size=8, mask_input_channels=4
        ),
        mask_decoder_config=Sam3TrackerMaskDecoderConfig(**_DECODER, iou_head_hidden_dim=16),
    )  # fmt: skip
    _save(Sam3TrackerModel(config), folder)
    _save_settings(folder, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    return folder


def _save(model: Any, folder: Path) -> None:
    """With prompts that matter: at their initial values all masks of a random decoder are alike."""
    with torch.no_grad():
        for parameter in model.mask_decoder.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    model.eval().save_pretrained(folder)


def _save_settings(folder: Path, mean: list[float], std: list[float]) -> None:
    size = {"height": SIDE, "width": SIDE}
    settings = {"size": size, "image_mean": mean, "image_std": std, "rescale_factor": 1 / 255, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
