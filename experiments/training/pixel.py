"""The pixel-level miniature: LISA's recipe (arXiv 2308.00692) on the shipped miniature LLaVA and SAM.

    python -m experiments.training.pixel --out DIR --seed 0            # DIR/tiny_pixel and DIR/tiny_clip
    python -m experiments.training.pixel --out DIR --seed 0 --control  # DIR/tiny_control, as long on questions alone

The hidden state before [SEG] goes through two layers and is the only sparse prompt of SAM's mask decoder. The CLIP
tower and SAM's image and prompt encoders are frozen; projector, language model, the two layers and the mask decoder are
trained. Loss: cross-entropy + 2 BCE + 0.5 dice, as in LISA's code.

Shapes: `B` images, `M` masks, `D` = 128 hidden, `P` = 64 of the mask decoder, `S` = 128 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from experiments.training import llava
from experiments.training import tower as towers
from experiments.training.export import export, export_published
from experiments.training.packing import Packer
from experiments.training.questions import TRAIN_SEED, draw_turns, uniform_prompts
from experiments.training.segmenting import draw_mixed, new_words
from experiments.training.train import PLANS
from experiments.training.words import SEG, extended
from torch import nn
from transformers import (
    AutoProcessor,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SamConfig,
    SamModel,
)

from pixfound.benchmarks.scenes import Scene, Thing

STEPS, IMAGES = 650, 8
RATE, RISE = 1.5e-3, 50  # AdamW, linear to 2 % after so many steps of rise
WARM = 150  # steps in which the two layers learn where SAM's points lie, before they prompt its decoder
FACTORS = (1.0, 2.0, 0.5, 0.0)  # of cross-entropy, BCE (or the points' error), dice
WHOLE = 3  # the miniature SAM's mask of whole things, of its four
SHARES = PLANS[-1].shares
FIRST_SEED = TRAIN_SEED + 10
Asked = tuple[int, tuple[Thing, ...]]  # the scene that a mask is asked of, and the things


class Pixel(nn.Module):
    """The modules: `language` is LLaVA, `sam` is SAM, `text_hidden_fcs` maps a hidden state to SAM's prompt."""

    def __init__(self, weights: Path, processor: LlavaProcessor) -> None:
        super().__init__()
        self.language = LlavaForConditionalGeneration.from_pretrained(weights / "tiny_llava", dtype=torch.float32)
        self.language.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
        config = SamConfig.from_pretrained(weights / "tiny_sam")
        config.mask_decoder_config.layer_norm_eps = 1e-5  # Meta's, which LISA's checkpoints are read with
        self.sam = SamModel.from_pretrained(weights / "tiny_sam", config=config, dtype=torch.float32)
        width, prompt = self.language.config.text_config.hidden_size, self.sam.config.mask_decoder_config.hidden_size
        self.text_hidden_fcs = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, prompt))
        self.requires_grad_(False)
        trained = (self.language.model.multi_modal_projector, self.language.model.language_model)
        for module in (*trained, self.sam.mask_decoder, self.text_hidden_fcs):
            module.requires_grad_(True)

    def draw(self, scenes: Sequence[Scene], owners: Sequence[int], states: torch.Tensor) -> torch.Tensor:
        """Low-resolution logits (M, S / 2, S / 2) of masks from hidden states (M, D); owners: the scene of each."""
        with torch.no_grad():
            seen = self.sam.get_image_embeddings(sam_pictures(scenes))[list(owners)]
        sam, vectors = self.sam, self.text_hidden_fcs(states)
        low, _ = sam.mask_decoder(
            image_embeddings=seen,
            image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=vectors[:, None, None],
            dense_prompt_embeddings=sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(seen),
            multimask_output=False,
        )
        return low[:, 0, 0].float()

    def mask_losses(self, scenes: Sequence[Scene], asked: Sequence[Asked], states: torch.Tensor) -> list[torch.Tensor]:
        """BCE, dice and, not to be trained on, 1 - IoU of the masks of hidden states (M, D); means over the masks."""
        masks = np.stack([np.any([scenes[i].mask(t) for t in things], axis=0) for i, things in asked])
        wanted = F.avg_pool2d(torch.from_numpy(masks).float()[:, None], 2)[:, 0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.draw(scenes, [index for index, _ in asked], states)
        cross, chance = F.binary_cross_entropy_with_logits(logits, wanted), logits.sigmoid()
        both, either = (chance * wanted).sum((1, 2)), chance.sum((1, 2)) + wanted.sum((1, 2))
        found, truth = logits.detach() > 0, wanted >= 0.5
        iou = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))
        return [cross, (1 - 2 * both / either.clamp(min=1)).mean(), 1 - iou.mean()]

    def point_loss(self, asked: Sequence[Asked], states: torch.Tensor) -> torch.Tensor:
        """Squared error of the prompts of hidden states (M, D) against SAM's codes of the centres of single things."""
        single = [row for row, (_, things) in enumerate(asked) if len(things) == 1]
        centres = torch.tensor([asked[row][1][0].centre for row in single])
        with torch.no_grad():
            codes, _ = self.sam.prompt_encoder(centres[None, :, None], torch.ones(1, len(single), 1), None, None)
        return F.mse_loss(self.text_hidden_fcs(states[single].float()), codes[0, :, 0])


def sam_pictures(scenes: Sequence[Scene]) -> torch.Tensor:
    """The scenes as SAM takes them, (B, 3, S, S)."""
    pixels = torch.from_numpy(np.stack([np.asarray(s.render()) for s in scenes])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (pixels.float() / 255 - mean) / std


def start(weights: Path, seed: int) -> tuple[Pixel, LlavaProcessor]:
    """The shipped miniatures with new words and untrained layers between them."""
    torch.manual_seed(seed)
    processor = AutoProcessor.from_pretrained(weights / "tiny_llava")
    processor.tokenizer = extended(processor.tokenizer, new_words())
    model = Pixel(weights, processor)
    known = len(AutoProcessor.from_pretrained(weights / "tiny_llava").tokenizer)
    with torch.no_grad():
        model.language.get_input_embeddings().weight[known:].normal_(std=0.06)
        _warm(model.sam.mask_decoder, model.text_hidden_fcs)
    return model, processor


def _warm(decoder: nn.Module, layers: nn.Sequential) -> None:
    """Start from what the miniature SAM can do: it was taught with three masks a point, and never its single mask.

    The single mask's token and head become those of the mask that shows whole things. The two layers' output gets the
    scale of a point's code.
    """
    decoder.mask_tokens.weight[0] = decoder.mask_tokens.weight[WHOLE]
    decoder.output_hypernetworks_mlps[0].load_state_dict(decoder.output_hypernetworks_mlps[WHOLE].state_dict())
    layers[0].weight.normal_(std=0.09)
    layers[2].weight.normal_(std=0.1)


def train(model: Pixel, processor: LlavaProcessor, seed: int, steps: int, warm: int, control: bool) -> None:
    """Train on the mixture, or on questions alone; prints the losses of words and masks, and the masks' IoU."""
    rng, prompts, packer = np.random.default_rng(seed), uniform_prompts(), Packer(processor.tokenizer)
    seg = processor.tokenizer.convert_tokens_to_ids(SEG)
    parts = [model.language] if control else [model.language, model.text_hidden_fcs, model.sam.mask_decoder]
    weights = list(dict.fromkeys(p for part in parts for p in part.parameters() if p.requires_grad))
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / RISE) * max(0.02, 1 - step / steps)
    )
    model.train()
    model.language.set_attn_implementation({"text_config": "packed"})
    begun, shown = time.time(), []
    for step in range(steps):
        if control:
            drawn = [(*draw_turns(rng, prompts, SHARES), []) for _ in range(IMAGES)]
        else:
            drawn = [draw_mixed(rng, prompts, SHARES) for _ in range(IMAGES)]
        scenes, packed = [scene for scene, _, _ in drawn], packer([turns for _, turns, _ in drawn])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = llava.answer_states(model.language, packed, towers.pictures(scenes), packer.first)
            told = model.language.lm_head(states)
        each = F.cross_entropy(told.float(), packed.wanted, reduction="none")
        losses = [(each * packed.weights).sum() / packed.weights.sum()]
        if not control:
            states = states[packed.wanted == seg]
            asked = [(index, things) for index, (_, _, found) in enumerate(drawn) for things in found]
            if step < warm:
                losses.append(model.point_loss(asked, states))
            else:
                losses += model.mask_losses(scenes, asked, states)
        optimiser.zero_grad(set_to_none=True)
        torch.stack([loss * factor for loss, factor in zip(losses, FACTORS, strict=False)]).sum().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        shown.append([float(loss.detach()) for loss in losses])
        if (step + 1) % 25 == 0 or step + 1 == warm:
            text = " ".join(f"{v:.3f}" for v in np.mean(shown, axis=0))
            print(f"pixel {step + 1}/{steps} {text} ({time.time() - begun:.0f} s)", flush=True)
            shown = []
    model.eval()
    model.language.set_attn_implementation({"text_config": "sdpa"})


def main() -> None:
    """Train one model and export it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for tiny_pixel/ and tiny_clip/, or tiny_control/"
    )
    parser.add_argument("--weights", type=Path, default=Path("src/pixfound/weights"), help="tiny_sam/, tiny_llava/")
    parser.add_argument("--seed", type=int, default=0, help="number of the run")
    parser.add_argument("--control", action="store_true", help="train on questions alone")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all steps; 0.01 tries the code out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seed = FIRST_SEED + options.seed
    model, processor = start(options.weights, seed)
    steps, warm = (max(1, round(full * options.scale)) for full in (STEPS, WARM))
    train(model, processor, seed, steps, warm, options.control)
    if options.control:
        export(model.language, processor, options.out / "tiny_control")
    else:
        export_published(model, processor, options.out / "tiny_pixel", options.out / "tiny_clip")


if __name__ == "__main__":
    main()
