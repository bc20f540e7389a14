"""LISA (arXiv 2308.00692) and GLaMM (arXiv 2311.03356): LLaVA whose hidden state before [SEG] prompts SAM's decoder.

Both are composed of transformers' LlavaForConditionalGeneration, CLIPVisionModel and SamModel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.errors import UserError
from pixfound.interfaces import Fit, TextVectors
from pixfound.kept import Keep
from pixfound.models import keymap
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.encoding import Request
from pixfound.models.huggingface import Capture, HuggingFace
from pixfound.models.loading import check_memory_on_the_way
from pixfound.models.seg_tokens import Seg, check_seg, generate, seg_id
from pixfound.types import Generation

KEYS = keymap.KeyMap(
    parts=(
        (r"model\.mm_projector\.0\.", "language.model.multi_modal_projector.linear_1.", ()),
        (r"model\.mm_projector\.2\.", "language.model.multi_modal_projector.linear_2.", ()),
        (r"model\.mm_projector\.", "language.model.multi_modal_projector.", ()),
        (r"model\.text_hidden_fcs\.0\.", "text_hidden_fcs.", ()),
        (r"model\.(visual_model|grounding_encoder)\.", "sam.", keymap.SAM1),
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
    copies=keymap.SHARED,
)


class Lisa:
    """A LISA or GLaMM checkpoint as it was published.

    path, revision, dtype, device, capture, layers, heads, generation, keep: as in `HuggingFace`.
    vision_tower: hub id or folder of the CLIP that the published checkpoint leaves out.
    prompt: the whole prompt, where <image> stands for the image and {} for what is asked.
    seg: `all` draws for every [SEG], `first` for the first alone, as the scripts of arXiv 2502.04192 do.
    """

    def __init__(
        self,
        path: str,
        vision_tower: str,
        prompt: str,
        revision: str | None = None,
        vision_tower_revision: str | None = None,
        dtype: str = "bfloat16",
        device: str = "auto",
        seg: Seg = "all",
        capture: Capture = "none",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        generation: Mapping[str, Any] | None = None,
        keep: Keep = "mean",
    ) -> None:
        check_seg(seg)
        if prompt.count("<image>") != 1 or prompt.count("{}") != 1 or prompt.find("{}") < prompt.find("<image>"):
            raise UserError("model.prompt: must hold <image> once, and {} once after it, for what is asked")
        self.path, self.vision_tower, self.prompt, self.seg, self.device = path, vision_tower, prompt, seg, device
        self.revision, self.vision_tower_revision, self.dtype = revision, vision_tower_revision, dtype
        self._speaker = HuggingFace(path, revision, dtype, device, None, capture, layers, heads, generation, keep=keep)

    runtime_options = ("vision_tower",)  # a path; `identity` says what it holds

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights, CLIP's too."""
        clip = weights.identity(self.vision_tower, self.vision_tower_revision, "model.vision_tower")
        return {**self._speaker.identity(), "vision_tower": clip}

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return {**self._speaker.provenance(), "vision_tower": self.vision_tower}

    @property
    def captures(self) -> bool:
        """Whether its generations carry attention."""
        return self._speaker.captures

    @property
    def keep(self) -> Keep:
        """What is stored of its attention beside the mean."""
        return self._speaker.keep

    def vectors(self) -> TextVectors:
        """The input embeddings, without loading the model."""
        return InputEmbeddings(keymap.fetch(self.path, self.revision, "model.path"), self._processor.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answers, with a mask for every [SEG] in them."""
        model = self._model
        token = seg_id(self._processor.tokenizer, self.path)
        return generate(self._speaker, requests, model.draw, token, "before", self.seg)

    def fit(self, requests: Sequence[Request]) -> Fit:
        """How many prompts like these fit into memory together; masks are drawn one answer after the other."""
        _ = self._model
        return self._speaker.fit(requests)

    @cached_property
    def _clip_folder(self) -> str:
        return keymap.fetch(self.vision_tower, self.vision_tower_revision, "model.vision_tower")

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        config = json.loads((Path(keymap.fetch(self.path, self.revision, "model.path")) / "config.json").read_text())
        if "hidden_size" not in config or "out_dim" not in config:
            raise UserError(
                f"model.path={self.path}: holds a {config.get('model_type')} model without LISA's or GLaMM's config "
                "(hidden_size, out_dim); give their published repository, or use model=hf"
            )
        return dict(config)

    @cached_property
    def _processor(self) -> Any:
        """LLaVA's, with one token more than the checkpoint's tokenizer: the place of the image."""
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionConfig, LlavaProcessor

        with weights.loading(self.path, "model.path"):
            tokenizer = AutoTokenizer.from_pretrained(
                keymap.fetch(self.path, self.revision, "model.path"), trust_remote_code=False
            )
        with weights.loading(self.vision_tower, "model.vision_tower"):
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
        from pixfound.models.lisa_modules import LisaModules

        folder = keymap.fetch(self.path, self.revision, "model.path")
        checkpoint = keymap.Checkpoint(folder, self.path)
        tokenizer = self._processor.tokenizer
        seg_id(tokenizer, self.path)
        image_id = tokenizer.convert_tokens_to_ids("<image>")
        linear = "model.mm_projector.weight" in checkpoint.names
        device = pick_device(self.device)
        with keymap.building(self.dtype, "model.dtype"):
            tower = (self._clip_folder, self.vision_tower, "model.vision_tower")
            check_memory_on_the_way(folder, self.path, self.dtype, device, [tower])
            model = LisaModules(self._config, self._clip_folder, image_id, linear)
        keymap.load_strict(model, checkpoint, KEYS)
        model.load_clip(self._clip_folder, self.vision_tower)
        model.make_room(image_id)
        model = model.to(device).eval()
        model.language.generation_config.eos_token_id = tokenizer.eos_token_id
        self._speaker.speak_with(model.language, self._processor)
        return model
