"""Inputs of Cambrian-1 (arXiv 2406.16860): the image as a padded square in four sizes, and the prompt's token ids."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pixfound.errors import UserError
from pixfound.io.images import as_rgb
from pixfound.models.cambrian import TOWERS
from pixfound.models.geometry.layouts import kept_of_square

_LOG = logging.getLogger(__name__)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)
_COLOURS = {  # of each tower: the bars beside the image, the mean, the deviation; SigLIP's bars are CLIP's mean too
    "siglip": (_CLIP_MEAN, _HALF, _HALF),
    "clip": (_CLIP_MEAN, _CLIP_MEAN, _CLIP_STD),
    "dinov2": (_IMAGENET_MEAN, _IMAGENET_MEAN, _IMAGENET_STD),
    "convnext": (_CLIP_MEAN, _CLIP_MEAN, _CLIP_STD),
}


@dataclass(frozen=True)
class Pictures:
    """The image processor of the four towers.

    sides: side of each tower's input square, in pixels. unpadded_grid: side of the token grid over the padded square.
    """

    sides: Mapping[str, int]
    unpadded_grid: int

    def flat(self, image: Image.Image) -> Tensor:
        """(F,) the four input squares (3, side, side), flattened and concatenated in the order of `TOWERS`."""
        return torch.cat([self.view(image, tower).flatten() for tower in TOWERS])

    def view(self, image: Image.Image, tower: str) -> Tensor:
        """(3, side, side) the image centred in a square with bars, resized and normalised for one tower."""
        bars, mean, deviation = _COLOURS[tower]
        side = max(image.size)
        square = Image.new("RGB", (side, side), tuple(int(255 * v) for v in bars))
        square.paste(as_rgb(image), ((side - image.width) // 2, (side - image.height) // 2))
        resized = square.resize((self.sides[tower], self.sides[tower]), Image.Resampling.BICUBIC)
        values = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).view(*resized.size, 3)
        normal = (values.float() / 255 - torch.tensor(mean)) / torch.tensor(deviation)
        return normal.permute(2, 0, 1)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Input squares (B, 3, side, side) of each tower. flat: (B, F)."""
        sides = [self.sides[tower] for tower in TOWERS]
        parts = torch.split(flat, [3 * side * side for side in sides], dim=1)
        return [part.view(-1, 3, side, side) for part, side in zip(parts, sides, strict=True)]

    def count(self, image: Image.Image) -> int:
        """Number of tokens of an image: the cells that are not padding, and a newline token for each row."""
        top, foot, left, right = kept_of_square((image.height, image.width), self.unpadded_grid)
        return (foot - top) * (right - left + 1)


class CambrianProcessor:
    """The processor: texts with one <image> each, and their images, to the model's inputs.

    tokenizer: with <image> among its tokens. prompt: the whole prompt, with <image> for the image and {} for the
    question or expression. image_position: index of the token at which the checkpoint expects the image.
    UserError for an image before it. For one after it a warning: `image_position` is read all the same, as originally.
    """

    chat_template = "the prompt's own"
    image_token = "<image>"

    def __init__(self, tokenizer: Any, image_processor: Pictures, prompt: str, image_position: int) -> None:
        self.tokenizer, self.image_processor = tokenizer, image_processor
        self.prompt = prompt
        place = len(tokenizer(prompt.partition(self.image_token)[0])["input_ids"])
        where = f"puts the image at token {place}, and this checkpoint reads it at {image_position}, as its config says"
        if place < image_position:
            raise UserError(f"model.prompt: {where} (image_position): give the prompt that it was trained with")
        if place > image_position:
            _LOG.warning("model.prompt: %s; it is read there, beside its place, as in the original", where)

    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], **_: Any) -> str:
        """The prompt with the text of the last message in place of {}."""
        question = "".join(part["text"] for part in messages[-1]["content"] if part["type"] == "text")
        before, after = self.prompt.split("{}")
        return before + question + after

    def ids(self, text: str, count: int) -> list[int]:
        """Token ids of a text, with `count` image tokens in place of <image>.

        The parts before and after <image> are tokenized separately. Where the first starts with the BOS token, the
        original drops the first token of the second too, as if it were BOS. The published tokenizer adds no BOS itself,
        so the token dropped is the line break after the image.
        """
        before, _, after = text.partition(self.image_token)
        first, second = self.tokenizer(before)["input_ids"], self.tokenizer(after)["input_ids"]
        begins = first[:1] == [self.tokenizer.bos_token_id]
        place = self.tokenizer.convert_tokens_to_ids(self.image_token)
        return [*first, *[place] * count, *(second[1:] if begins else second)]

    def __call__(self, text: Sequence[str], images: Sequence[Sequence[Image.Image]], **_: Any) -> dict[str, Tensor]:
        """Token ids and masks (B, P), left-padded; pixel_values (B, F); image_sizes (B, 2) of (H, W)."""
        pictures = [image for (image,) in images]
        rows = [
            self.ids(prompt, self.image_processor.count(image)) for prompt, image in zip(text, pictures, strict=True)
        ]
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        return {
            "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
            "pixel_values": torch.stack([self.image_processor.flat(image) for image in pictures]),
            "image_sizes": torch.tensor([(image.height, image.width) for image in pictures]),
        }
