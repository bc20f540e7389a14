"""LISA (arXiv 2308.00692) and GLaMM (arXiv 2311.03356): LLaVA whose hidden state before [SEG] prompts SAM's decoder.

Both are composed of transformers' LlavaForConditionalGeneration, CLIPVisionModel and SamModel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pixfound.checkpoints import conversion, locating
from pixfound.checkpoints.weight_memory import check_memory_on_the_way
from pixfound.compute.devices import pick_device
from pixfound.errors import UserError
from pixfound.models.geometry.batch_encoder import check_prompt
from pixfound.models.pixel.llama import llama_config, make_room
from pixfound.models.pixel.seg_model import SegModel
from pixfound.models.pixel.seg_tokens import SegStates, seg_id

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

    version: ClassVar[int] = 2  # 2: a [SEG] in the prompt counts
    # `identity` has the tower's digest, or hub id and revision
    runtime_options: ClassVar[tuple[str, ...]] = (*SegModel.runtime_options, "vision_tower")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt(self.prompt)

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, CLIP's included; part of the fingerprint."""
        clip = locating.identity(self.vision_tower, self.vision_tower_revision, "model.vision_tower")
        return {**super().identity(), "vision_tower": clip}

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the hub id or folder of CLIP."""
        return {**super().provenance(), "vision_tower": self.vision_tower}

    @property
    def _states(self) -> SegStates:
        return SegStates("before")

    def _clip(self, tensors: bool) -> str:
        return conversion.fetch(self.vision_tower, self.vision_tower_revision, "model.vision_tower", tensors)

    def _check_published(self, published: Mapping[str, Any]) -> None:
        if "hidden_size" not in published or "out_dim" not in published:
            raise UserError(
                f"model.path={self.path}: holds a {published.get('model_type')} model without LISA's or GLaMM's config "
                "(hidden_size, out_dim); give their published repository, or use model=hf"
            )

    def _load_config(self) -> Any:
        """LLaVA's config with the vision config of CLIP and the published Llama's text config."""
        from transformers import CLIPVisionConfig, LlavaConfig

        published, clip = self._published, self._clip(tensors=False)
        with locating.loading(self.vision_tower, "model.vision_tower"):
            vision = CLIPVisionConfig.from_pretrained(clip, dtype=None)  # built in the dtype of the other modules
        return LlavaConfig(
            vision_config=vision,
            text_config=llama_config(published),
            image_token_id=self._processor.tokenizer.convert_tokens_to_ids("<image>"),
            vision_feature_layer=int(published.get("mm_vision_select_layer", -2)),
            vision_feature_select_strategy="default",
        )

    def _load_processor(self) -> Any:
        """LLaVA's processor, with <image> added to the tokens of the checkpoint's tokenizer."""
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPVisionConfig, LlavaProcessor

        clip = self._clip(tensors=False)
        with locating.loading(self.path, "model.path"):
            tokenizer = AutoTokenizer.from_pretrained(self._description, trust_remote_code=False)
        with locating.loading(self.vision_tower, "model.vision_tower"):
            images = AutoImageProcessor.from_pretrained(clip)
            patch = CLIPVisionConfig.from_pretrained(clip).patch_size
        seg_id(tokenizer, self.path)
        tokenizer.pad_token = tokenizer.unk_token
        tokenizer.add_tokens(["<image>"], special_tokens=True)
        before, after = self.prompt.split("{}")
        texts = "{% for c in messages[-1]['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}"
        template = f"{{{{ {json.dumps(before)} }}}}{texts}{{{{ {json.dumps(after)} }}}}"
        return LlavaProcessor(
            images, tokenizer, patch_size=patch, vision_feature_select_strategy="default", chat_template=template,
            image_token="<image>", num_additional_image_tokens=1,
        )  # fmt: skip

    def _load_modules(self) -> Any:
        from pixfound.models.pixel.lisa_modules import LisaModules

        checkpoint, device = conversion.Checkpoint(self._folder, self.path), pick_device(self.device)
        published, clip = self._published, self._clip(tensors=True)
        linear = "model.mm_projector.weight" in checkpoint.names
        with conversion.building(self.dtype, "model.dtype"):
            tower = (clip, self.vision_tower, "model.vision_tower")
            check_memory_on_the_way(self._folder, self.path, self.dtype, device, [tower])
            modules = LisaModules(self._config, published["out_dim"], published.get("sam_config"), linear)
        conversion.load_strict(modules, checkpoint, KEYS)
        modules.load_clip(clip, self.vision_tower)
        make_room(modules.language, self._config.image_token_id)
        modules = modules.to(device).eval()
        modules.language.generation_config.eos_token_id = self.tokenizer.eos_token_id
        return modules
