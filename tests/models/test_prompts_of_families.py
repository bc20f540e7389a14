"""The exact prompt that each family is given: its chat template around one image and one question.

The templates in `tests/support/families.py` are written after the published ones, and render as they do for a turn with
an image and a text; those of the families after PaliGemma were written from their documentation alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt
from tests.support.families import EVERY_FAMILY

Folder = Callable[[str], Path]
QUESTION = "What is this?"
QWEN = (
    "<|im_start|>user\n<|vision_start|><|image_pad|>*16<|vision_end|>What is this?<|im_end|>\n<|im_start|>assistant\n"
)
GLM = "[gMASK]<sop><|user|>\n<|begin_of_image|><|image|>*16<|end_of_image|>What is this?<|assistant|>\n"
GEMMA4 = "<bos><|turn>user\n\n\n<|image><|image|>*64<image|>\n\nWhat is this?<turn|>\n<|turn>model\n"
LFM = "".join(f"<|img_row_{r}_col_{c}|><image>*16" for r in (1, 2) for c in (1, 2))
LLAMA4_ROW = "<|patch|>*16<|tile_x_separator|><|patch|>*16<|tile_y_separator|>"
CUT = "".join(
    "".join(f"<fake_token_around_image><row_{r}_col_{c}><image>*16" for c in range(1, 5)) + "\n" for r in range(1, 5)
)
TILED = CUT + "\n<fake_token_around_image><global-img><image>*16<fake_token_around_image>"
COHERE = "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>"
COHERE_END = "What is this?<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
AYA = "".join(f"TILE_{i}<|IMG_PATCH|>*16" for i in range(1, 5))
OVIS = "<IMG_ROW>".join(["<IMG_ATOM>*16<IMG_COL><IMG_ATOM>*16"] * 2)
PROMPTS = {
    "llava": "<s>USER: <image>*16\nWhat is this? ASSISTANT:",
    "llava_next": "<s>[INST] <image>*88\nWhat is this? [/INST]",
    "llava_onevision": "<|im_start|>user <image>*88\nWhat is this?<|im_end|><|im_start|>assistant\n",
    "qwen2_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + QWEN,
    "qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + QWEN,
    "qwen3_vl": QWEN,
    "internvl": "<|im_start|>user\n<img><IMG_CONTEXT>*80</img>\nWhat is this?<|im_end|>\n<|im_start|>assistant\n",
    "idefics3": f"<|begin_of_text|>User:{TILED}What is this?<end_of_utterance>\nAssistant:",
    "smolvlm": f"<|im_start|>User:{TILED}What is this?<end_of_utterance>\nAssistant:",
    "gemma3": "<bos><start_of_turn>user\n\n\n<start_of_image><image_soft_token>*16<end_of_image>\n\nWhat is this?"
    "<end_of_turn>\n<start_of_turn>model\n",
    "paligemma": "<image>*16<bos>What is this?\n",
    "glm4v": GLM,
    "aya_vision": f"{COHERE}<|START_OF_IMG|>{AYA}TILE_GLOBAL<|IMG_PATCH|>*16<|END_OF_IMG|>{COHERE_END}",
    "cohere2_vision": f"{COHERE}<|START_OF_IMG|>{'<|IMG_PATCH|>*16<|IMG_LINE_BREAK|>' * 5}<|END_OF_IMG|>{COHERE_END}",
    "ovis2": f"<|im_start|>user\n<IMG_START><IMG_ATOM>*16<IMG_GRID>{OVIS}<IMG_END>\nWhat is this?<|im_end|>"
    "<|im_start|>assistant\n",
    "deepseek_vl": "<s>User: <image_placeholder>*16What is this?\n\nAssistant:",
    "molmo2": f"<|im_end|><|im_start|>user <low_res_im_start>{'<im_patch>*4<im_col>' * 4}<im_end>"
    f"<im_start>{'<im_patch>*7<im_col>' * 7}<im_end>\nWhat is this?<|im_end|><|im_start|>assistant\n",
    "mistral3": f"<s>[INST]{'[IMG]*4[IMG_BREAK]' * 3}[IMG]*4[IMG_END]What is this?[/INST]",
    "qwen3_vl_moe": QWEN,
    "qwen3_5": f"{QWEN}<think>\n",
    "qwen3_5_moe": f"{QWEN}<think>\n",
    "glm46v": GLM,
    "glm4v_moe": GLM,
    "gemma4": GEMMA4,
    "gemma4_moe": GEMMA4,
    "vipllava": "<s>###Human: <image>*16\nWhat is this?###Assistant:",
    "llava_next_video": "<s>USER: <image>*88\nWhat is this? ASSISTANT:",
    "janus": "<s><|User|>: <begin_of_image><image_placeholder>*16<end_of_image>\nWhat is this?\n\n<|Assistant|>:",
    "deepseek_vl_hybrid": "<s>User: <image_placeholder>*16What is this?\n\nAssistant:",
    "ernie4_5_vl_moe": "<s>User: Picture 1:<|IMAGE_START|><|IMAGE_PLACEHOLDER|>*16<|IMAGE_END|>What is this?"
    "Assistant: ",
    "lfm2_vl": f"<|startoftext|><|im_start|>user\n<|image_start|>{LFM}<|img_thumbnail|><image>*16<|image_end|>"
    "What is this?<|im_end|>\n<|im_start|>assistant\n",
    "minicpmv4_6": "<|im_start|>user\n<image_id>0</image_id><image><|image_pad|>*16</image>\nWhat is this?<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "llama4": "<|begin_of_text|><|header_start|>user<|header_end|>\n\n"
    f"<|image_start|>{LLAMA4_ROW * 2}<|image|><|patch|>*16<|image_end|>What is this?<|eot|>"
    "<|header_start|>assistant<|header_end|>\n\n",
    "exaone4_5": "<|user|>\n<vision><|image_pad|>*16</vision>\nWhat is this?<|endofturn|>\n<|assistant|>\n",
    "video_llama_3": "<|im_start|>user\n<|image_pad|>*16\nWhat is this?<|im_end|>\n<|im_start|>assistant\n",
}


def shown(model: HuggingFace) -> str:
    """What the model reads, with runs of the image's token counted."""
    ids = model._encoder.encode([(Image.new("RGB", (64, 64)), Prompt("x", "open", "v", QUESTION))])["input_ids"][0]
    token = re.escape(model.tokenizer.decode([model._config.image_token_id]))
    return re.sub(f"(?:{token})+", lambda m: run(m.group(0), model), model.tokenizer.decode(ids))


def run(tokens: str, model: HuggingFace) -> str:
    token = model.tokenizer.decode([model._config.image_token_id])
    return f"{token}*{tokens.count(token)}"


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_the_prompt_of_a_family(family: str, family_folder: Folder) -> None:
    assert shown(HuggingFace(str(family_folder(family)))) == PROMPTS[family]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3", "internvl"])
def test_a_system_message_goes_through_the_template(family: str, family_folder: Folder) -> None:
    text = shown(HuggingFace(str(family_folder(family)), system="Be short."))
    assert text.count("Be short.") == 1
    assert "You are a helpful" not in text
    assert text.index("Be short.") < text.index(QUESTION)


def test_a_system_message_without_a_template_is_refused(family_folder: Folder) -> None:
    with pytest.raises(UserError, match=r"model\.system=null"):
        shown(HuggingFace(str(family_folder("paligemma")), system="Be short."))
