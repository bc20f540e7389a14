"""Random models that are prompted with a text, small enough for any test, saved as folders with their processors."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoImageProcessor,
    BertConfig,
    BertTokenizer,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTProcessor,
    Sam3Config,
    Sam3Model,
    Sam3VisionConfig,
    SwinConfig,
)
from transformers.models.sam3.configuration_sam3 import (
    Sam3DETRDecoderConfig,
    Sam3DETREncoderConfig,
    Sam3GeometryEncoderConfig,
    Sam3MaskDecoderConfig,
    Sam3ViTConfig,
)

SIDE = 64  # of the model's picture
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
_SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def clip_tokenizer(length: int) -> CLIPTokenizer:
    """Single bytes between the two marks of CLIP, whose end has the highest id. length: the most tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["!pad", *alphabet, *(c + "</w>" for c in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={t: i for i, t in enumerate(tokens)}, merges=[], pad_token="!pad", model_max_length=length
    )


def bert_tokenizer() -> BertTokenizer:
    """Single characters; the marks that GroundingDINO knows by number have BERT's own."""
    tokens = [f"[unused{i}]" for i in range(1030)]
    tokens[0], tokens[100], tokens[101], tokens[102], tokens[103] = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
    tokens[1012], tokens[1029] = ".", "?"
    for i, character in enumerate(string.ascii_lowercase + string.digits + "'"):
        tokens[200 + 2 * i : 202 + 2 * i] = [character, f"##{character}"]
    return BertTokenizer(vocab={t: i for i, t in enumerate(tokens)}, model_max_length=128)


def save_random_clipseg(folder: Path, seed: int = 0) -> Path:
    """A CLIPSegForImageSegmentation, whose picture is square."""
    tokenizer = clip_tokenizer(24)
    config = CLIPSegConfig(
        text_config=_clip_text(tokenizer), vision_config={**_SMALL, "image_size": SIDE, "patch_size": 16},
        projection_dim=16, extract_layers=[0, 1], reduce_dim=8, decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )  # fmt: skip
    images = _images(folder, "ViTImageProcessor", {"size": {"height": SIDE, "width": SIDE}})
    return _save(folder, seed, CLIPSegForImageSegmentation, config, CLIPSegProcessor(images, tokenizer))


def save_random_owlv2(folder: Path, seed: int = 0) -> Path:
    """An Owlv2ForObjectDetection, whose picture is padded to a square at the right or the bottom."""
    tokenizer = clip_tokenizer(16)
    config = Owlv2Config(text_config=_clip_text(tokenizer), vision_config=_owl_vision(), projection_dim=16)
    images = _images(folder, "Owlv2ImageProcessor", {"size": {"height": SIDE, "width": SIDE}})
    return _save(folder, seed, Owlv2ForObjectDetection, config, Owlv2Processor(images, tokenizer))


def save_random_owlvit(folder: Path, seed: int = 0) -> Path:
    """An OwlViTForObjectDetection, whose picture is squashed to a square."""
    tokenizer = clip_tokenizer(16)
    config = OwlViTConfig(text_config=_clip_text(tokenizer), vision_config=_owl_vision(), projection_dim=16)
    images = _images(folder, "OwlViTImageProcessor", {"size": {"height": SIDE, "width": SIDE}})
    return _save(folder, seed, OwlViTForObjectDetection, config, OwlViTProcessor(images, tokenizer))


def save_random_grounding_dino(folder: Path, seed: int = 0) -> Path:
    """A GroundingDinoForObjectDetection, whose picture keeps the image's shape."""
    return _save_dino(folder, seed, GroundingDinoForObjectDetection, GroundingDinoConfig)


def save_random_mm_grounding_dino(folder: Path, seed: int = 0) -> Path:
    """An MMGroundingDinoForObjectDetection, whose picture keeps the image's shape."""
    return _save_dino(folder, seed, MMGroundingDinoForObjectDetection, MMGroundingDinoConfig)


def save_random_sam3(folder: Path, seed: int = 0) -> Path:
    """A Sam3Model with its tokenizer and the settings of its image processor."""
    tokenizer = clip_tokenizer(32)
    vit = Sam3ViTConfig(
        **_SMALL, image_size=SIDE, patch_size=8, window_size=4, global_attn_indexes=[1], pretrain_image_size=SIDE
    )
    grid = SIDE // 8
    part = {"hidden_size": 16, "num_attention_heads": 2}
    layers = {**part, "num_layers": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config=Sam3VisionConfig(
            backbone_config=vit, fpn_hidden_size=16,
            backbone_feature_sizes=[[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]],
        ),
        text_config=CLIPTextConfig(
            **_SMALL, projection_dim=16, vocab_size=len(tokenizer), max_position_embeddings=32,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        ),
        geometry_encoder_config=Sam3GeometryEncoderConfig(**layers),
        detr_encoder_config=Sam3DETREncoderConfig(**layers),
        detr_decoder_config=Sam3DETRDecoderConfig(**layers, num_queries=12),
        mask_decoder_config=Sam3MaskDecoderConfig(**part, num_upsampling_stages=2),
    )  # fmt: skip
    _save(folder, seed, Sam3Model, config, tokenizer)
    size = {"height": SIDE, "width": SIDE}
    settings = {"size": size, "image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


SAVE: dict[str, Callable[[Path], Path]] = {
    "clipseg": save_random_clipseg,
    "grounding_dino": save_random_grounding_dino,
    "mm_grounding_dino": save_random_mm_grounding_dino,
    "owlv2": save_random_owlv2,
    "owlvit": save_random_owlvit,
    "sam3_concept": save_random_sam3,
}


def _clip_text(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    positions = tokenizer.model_max_length
    return {**_SMALL, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": positions}


def _owl_vision() -> dict[str, Any]:
    return {**_SMALL, "image_size": SIDE, "patch_size": 16}


def _save_dino(folder: Path, seed: int, architecture: Any, config: Any) -> Path:
    tokenizer = bert_tokenizer()
    made = config(
        backbone_config=SwinConfig(
            image_size=SIDE, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
            out_indices=[2, 3, 4],
        ),
        text_config=BertConfig(**_SMALL, vocab_size=len(tokenizer), max_position_embeddings=128),
        d_model=32, num_queries=20, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, max_text_len=64,
    )  # fmt: skip
    images = _images(folder, "GroundingDinoImageProcessor", {"size": {"shortest_edge": 80, "longest_edge": 160}})
    return _save(folder, seed, architecture, made, GroundingDinoProcessor(images, tokenizer))


def _images(folder: Path, kind: str, settings: dict[str, Any]) -> Any:
    """The image processor of a class, of the backend that there is for it here."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"image_processor_type": kind, "image_mean": MEAN, "image_std": STD, **settings}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return AutoImageProcessor.from_pretrained(folder)


def _save(folder: Path, seed: int, architecture: Any, config: Any, processor: Any) -> Path:
    """With weights that are large enough for boxes, masks and confidences to differ."""
    torch.manual_seed(seed)
    model = architecture(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.25)
            elif parameter.ndim == 0:  # MM-GroundingDINO's confidences begin near 0.01
                parameter.zero_()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
