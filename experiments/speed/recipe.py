"""The baseline of the benchmark: what a straightforward script does, written cleanly.

One example at a time, eager attention, every attention tensor kept until the answer is complete, then reduced
to the rows over the image tokens. Nothing of pixfound's own capture is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image


def answer_and_attend(
    model: Any,
    processor: Any,
    requests: Sequence[tuple[Image.Image, str]],
    least: int,
    most: int,
    device: torch.device | str = "cpu",
) -> list[tuple[str, npt.NDArray[np.float32]]]:
    """For each (image, whole prompt) the text and (T, N) the mean attention of each step over the image tokens.

    model: loaded with eager attention. least, most: new tokens.
    """
    found = []
    for image, prompt in requests:
        inputs = processor(text=[prompt], images=[[image]], return_tensors="pt").to(device)
        inputs = {name: v.to(model.dtype) if v.is_floating_point() else v for name, v in inputs.items()}
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                min_new_tokens=least,
                max_new_tokens=most,
                do_sample=False,
                output_attentions=True,
                return_dict_in_generate=True,
            )
        where = (inputs["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
        rows = [torch.stack([layer[0, :, -1, where] for layer in step]).mean((0, 1)) for step in out.attentions]
        text = processor.tokenizer.decode(out.sequences[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        found.append((text.lstrip(), torch.stack(rows).float().cpu().numpy()))
    return found
