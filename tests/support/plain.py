"""Tiny random Florence-2 and Kosmos-2 models, with their own processors, that write tokens of places and no others.

Folders have the files of a published checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tests.support.family import Family, byte_tokenizer

SQUARE = {"height": 32, "width": 32}
FLORENCE_TOKENS = ("<image>", "<sep>", "<poly>", "</poly>", *(f"<loc_{i}>" for i in range(1000)))
PATCHES = tuple(f"<patch_index_{i:04d}>" for i in range(1024))
IMAGES = hf.CLIPImageProcessor(size=SQUARE, do_center_crop=False)


def save_florence2(folder: Path, seed: int = 0) -> Path:
    """A Florence-2 that writes bins and separators."""
    tokenizer = byte_tokenizer(Family(lambda *_: None, lambda: None, None, FLORENCE_TOKENS, {"image_token": "<image>"}))
    text = hf.BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=256, init_std=0.5,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    vision = hf.Florence2VisionConfig(
        depths=(1, 1), patch_size=(7, 3), patch_stride=(4, 2), patch_padding=(3, 1), patch_prenorm=(False, True),
        embed_dim=(16, 32), num_heads=(2, 2), num_groups=(2, 2), window_size=4, projection_dim=32,
        initializer_range=0.3,
    )  # fmt: skip
    config = hf.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.convert_tokens_to_ids("<image>")
    )
    torch.manual_seed(seed)
    model = hf.Florence2ForConditionalGeneration(config)
    model.generation_config.forced_bos_token_id = tokenizer.bos_token_id
    images = hf.CLIPImageProcessor(size=SQUARE, do_center_crop=False, image_seq_length=4 * 4 + 1)
    settings = {"post_processor_config": {"polygons": {}}}
    return _save(folder, model, hf.Florence2Processor(images, tokenizer, **settings), FLORENCE_TOKENS[1:])


def save_kosmos2(folder: Path, seed: int = 0) -> Path:
    """A Kosmos-2 that writes cells."""
    tokenizer = byte_tokenizer(Family(lambda *_: None, lambda: None, None, ("<unk>",)))
    tokenizer.unk_token = "<unk>"
    processor = hf.Kosmos2Processor(IMAGES, tokenizer)
    config = hf.Kosmos2Config(
        text_config={"vocab_size": len(tokenizer), "embed_dim": 32, "layers": 2, "ffn_dim": 48, "attention_heads": 2,
                     "max_position_embeddings": 256, "init_std": 0.5, "pad_token_id": 0, "bos_token_id": 1,
                     "eos_token_id": 2},
        vision_config={"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8},
        latent_query_num=64,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = hf.Kosmos2ForConditionalGeneration(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return _save(folder, model, processor, PATCHES)


def _save(folder: Path, model: Any, processor: Any, said: tuple[str, ...]) -> Path:
    tokenizer = processor.tokenizer
    allowed = set(tokenizer.convert_tokens_to_ids(list(said)))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    allowed |= {tokenizer.bos_token_id, tokenizer.eos_token_id}
    model.generation_config.suppress_tokens = [i for i in range(len(tokenizer)) if i not in allowed]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    preprocessor = folder / "preprocessor_config.json"
    told = {"processor_class": type(processor).__name__}
    preprocessor.write_text(json.dumps({**json.loads(preprocessor.read_text()), **told}))
    (folder / "processor_config.json").write_text(json.dumps({**told, "num_patch_index_tokens": 1024}))
    return folder
