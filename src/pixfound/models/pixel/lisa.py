"""LISA (arXiv 2308.00692) and GLaMM (arXiv 2311.03356): LLaVA whose hidden state before [SEG] prompts SAM's decoder.

Both are composed of transformers' LlavaForConditionalGeneration, CLIPVisionModel and SamModel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pixfound.checkpoints import conversion, locating
from pixfound.checkpoints.weight_memory import check_memory_on_the_way
from pixfound.compute.devices import pick_device
from pixfound.errors import PromptTooLong, UserError
from pixfound.models.geometry.batch_encoder import Request, check_prompt
from pixfound.models.pixel.llama import make_room
from pixfound.models.pixel.seg_model import SegModel
from pixfound.models.pixel.seg_tokens import generate, seg_id
from pixfound.types import Generation

KEYS = conversion.KeyMap(
    parts=(
        (r"model\.mm_projector\.0\.", "language.model.multi_modal_projector.linear_1.", ()),
        (r"model\.mm_projector\.2\.", "language.model.multi_modal_projector.linear_2.", ()),
        (r"model\.mm_projector\.", "language.model.multi_modal_projector.", ()),
        (r"model\.text_hidden_fcs\.0\.", "text_hidden_fcs.", ()),
        (r"model\.(visual_model|grounding_encoder)\.", "sam.", conversion.SAM1),
        (r"model\.", "language.model.language_model.", ()),
        (r"lm_head\.", "language.lm_head.", ()),
    ),
    dropped={
        r"^model\.region_encoder\.": "reads boxes that a user draws, which no prompt here has",
        r"^model\.vision_tower\.": "CLIP, frozen: read from its own repository",
        r"\.pixel_(mean|std)$": "SAM's normalisation, the same for all",
        r"\.rotary_emb\.inv_freq$": "computed from the config",
    },
    elsewhere=("language.model.vision_tower.",),
    copies=conversion.SHARED,
)


@dataclass(eq=False, kw_only=True)
class Lisa(SegModel):
    """A published LISA or GLaMM checkpoint.

    vision_tower: hub id or folder of CLIP, which the published checkpoint does not contain.
    prompt: the whole prompt, with <image> for the image and {} for the question or expression.
    The other arguments are those of `SegModel`.
    """

    vision_tower: str
    vision_tower_revision: str | None = None
    prompt: str

    version = 2  # 2: a [SEG] in the prompt counts

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt(self.prompt)

    runtime_options = ("vision_tower",)  # `identity` has its digest, or hub id and revision

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, CLIP's included; part of the fingerprint."""
        clip = locating.identity(self.vision_tower, self.vision_tower_revision, "model.vision_tower")
        return {**super().identity(), "vision_tower": clip}

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the hub id or folder of CLIP."""
        return {**super().provenance(), "vision_tower": self.vision_tower}

    def generate_many(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Generations with one mask per [SEG], in order; PromptTooLong in place of a prompt that is too long."""
        model = self._model
        token = seg_id(self._processor.tokenizer, self.path)
        return generate(self._speaker, requests, model.draw, token, "before", self.seg)

    @cached_property
    def _clip_folder(self) -> str:
        return conversion.fetch(self.vision_tower, self.vision_tower_revision, "model.vision_tower")

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        config = json.loads((Path(self._folder) / "config.json").read_text())
        if "hidden_size" not in config or "out_dim" not in config:
            raise UserError(
                f"model.path={self.path}: holds a {config.get('model_type')} model without LISA's or GLaMM's config "
                "(hidden_size, out_dim); give their published repository, or use model=hf"
            )
        return dict(config)

    @cached_property
    def _processor(self) -> Any:
        """LLaVA's processor, with <image> added to the tokens of the checkpoint's tokenizer."""
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionConfig, LlavaProcessor

        with locating.loading(self.path, "model.path"):
            tokenizer = AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)
        with locating.loading(self.vision_tower, "model.vision_tower"):
            images = CLIPImageProcessor.from_pretrained(self._clip_folder)
            patch = CLIPVisionConfig.from_pretrained(self._clip_folder).patch_size
        tokenizer.pad_token = tokenizer.unk_token
        tokenizer.add_tokens(["<image>"], special_tokens=True)
        before, after = self.prompt.split("{}")
        said = "{% for c in messages[-1]['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}"
        template = f"{{{{ {json.dumps(before)} }}}}{said}{{{{ {json.dumps(after)} }}}}"
        return LlavaProcessor(
            images, tokenizer, patch_size=patch, vision_feature_select_strategy="default", chat_template=template,
            image_token="<image>", num_additional_image_tokens=1,
        )  # fmt: skip

    @cached_property
    def _model(self) -> Any:
        from pixfound.models.pixel.lisa_modules import LisaModules

        checkpoint = conversion.Checkpoint(self._folder, self.path)
        tokenizer = self._processor.tokenizer
        seg_id(tokenizer, self.path)
        image_id = tokenizer.convert_tokens_to_ids("<image>")
        linear = "model.mm_projector.weight" in checkpoint.names
        device = pick_device(self.device)
        with conversion.building(self.dtype, "model.dtype"):
            tower = (self._clip_folder, self.vision_tower, "model.vision_tower")
            check_memory_on_the_way(self._folder, self.path, self.dtype, device, [tower])
            model = LisaModules(self._config, self._clip_folder, image_id, linear)
        conversion.load_strict(model, checkpoint, KEYS)
        model.load_clip(self._clip_folder, self.vision_tower)
        make_room(model.language, image_id)
        model = model.to(device).eval()
        model.language.generation_config.eos_token_id = tokenizer.eos_token_id
        self._speaker.speak_with(model.language, self._processor)
        return model
