"""Cambrian-1 (arXiv 2406.16860): an MLLM with four vision towers and a Spatial Vision Aggregator.

It is composed of transformers' Llama, SigLIP, CLIP, DINOv2 and ConvNeXt, and of `pixfound.models.cambrian.aggregator`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixfound.checkpoints import conversion, locating
from pixfound.checkpoints.weight_memory import check_memory
from pixfound.compute.devices import pick_device
from pixfound.errors import UserError, nearest
from pixfound.models.cambrian import TOWERS
from pixfound.models.geometry.batch_encoder import Encoder, check_prompt
from pixfound.models.huggingface import HuggingFace
from pixfound.models.pixel.llama import llama_config, make_room
from pixfound.models.transformers_model import Capture

if TYPE_CHECKING:
    from pixfound.models.cambrian.modules import Design

KEYS = conversion.KeyMap(
    parts=(
        (
            r"model\.(?=mm_projector|vision_sampler|vision_query$|image_newline$)",
            "model.connector.",
            (
                (r"^mm_projector_aux_(\d+)\.", r"views.\1."),
                (r"^mm_projector\.", "out."),
                (r"^vision_sampler_0\.layers\.", "layers."),
                (r"^vision_sampler_layers\.(\d+)\.layers\.0\.", r"samplers.\1."),
                (r"\.cross_attn\.", "."),
                (r"\.([kv]_proj)_(\d+)\.", r".\1.\2."),
                (r"\.pos_embed_(\d+)$", r".pos_embed.\1"),
                (r"\.proj_out\.linear_1\.", ".proj_out.0."),
                (r"\.proj_out\.linear_2\.", ".proj_out.2."),
            ),
        ),
        (r"model\.", "model.language_model.", ()),
    ),
    dropped={r"\.rotary_emb\.inv_freq$": "computed from the config"},
)
_CONVNEXT_SIDE = 1024  # pixels, where the tower's name in the config has no `-resN`
_NEEDED = ("mm_vision_tower_aux_token_len_list", "query_num_list", "vision_hidden_size", "connector_depth")


class Cambrian(HuggingFace):
    """A published Cambrian-1 checkpoint.

    path, revision, dtype, device, capture, layers, heads, generation: as in `HuggingFace`.
    towers: `path` (hub id or folder) and `revision` of siglip, clip, dinov2 and convnext, which the checkpoint does not
        contain.
    prompt: the whole prompt, with <image> for the image and {} for the question or expression. <image> must be at the
        token `image_position` of the checkpoint's config, as the layers inside the language model read it there.
    """

    def __init__(
        self,
        path: str,
        towers: Mapping[str, Mapping[str, str | None]],
        prompt: str,
        revision: str | None = None,
        dtype: str = "float16",
        device: str = "auto",
        capture: Capture = "step",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        generation: Mapping[str, Any] | None = None,
    ) -> None:
        for name in ("num_beams", "num_return_sequences"):
            if int((generation or {}).get(name) or 1) > 1:
                raise UserError(f"model.generation.{name}: must be 1, as each answer reads the image of one request")
        super().__init__(
            path, revision, dtype, device, capture=capture, layers=layers, heads=heads, generation=generation or {}
        )
        check_prompt(prompt)
        self.towers, self.prompt = {name: dict(tower) for name, tower in towers.items()}, prompt
        for name in self.towers:
            if name not in TOWERS:
                raise UserError(f"model.towers.{name}: no such tower; {nearest(name, TOWERS)}")
        for name in TOWERS:
            if not self.towers.get(name, {}).get("path"):
                raise UserError(f"model.towers.{name}.path: is missing; give a hub id or a folder of its weights")

    runtime_options = (*HuggingFace.runtime_options, "towers")  # `identity` has digests, or ids and revisions

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, the towers' included; part of the fingerprint."""
        found = {
            name: locating.identity(str(tower["path"]), tower.get("revision"), _key(name))
            for name, tower in self.towers.items()
        }
        return {**super().identity(), "towers": found}

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the hub id or folder of each tower."""
        return {**super().provenance(), "towers": self.towers}

    def _tower(self, name: str, tensors: bool) -> str:
        path, revision = str(self.towers[name]["path"]), self.towers[name].get("revision")
        if tensors:
            return conversion.fetch(path, revision, _key(name))
        return locating.fetch(path, revision, _key(name), tensors=False)

    @cached_property
    def _folder(self) -> str:
        return conversion.fetch(self.path, self.revision, "model.path")

    @cached_property
    def _published(self) -> Mapping[str, Any]:
        settings = json.loads((Path(self._description) / "config.json").read_text())
        if settings.get("mm_projector_type") != "sva" or any(name not in settings for name in _NEEDED):
            raise UserError(
                f"model.path={self.path}: holds a {settings.get('model_type')} model without Cambrian-1's config "
                "(mm_projector_type sva); give its published repository, or use model=hf"
            )
        if list(settings["query_num_list"]) != [settings["image_token_len"]]:
            raise UserError(
                f"model.path={self.path}: has queries {settings['query_num_list']} for {settings['image_token_len']} "
                "tokens; the published models have one query for each token, and only those can be read"
            )
        return dict(settings)

    @cached_property
    def _sides(self) -> Mapping[str, int]:
        """Side in pixels of each tower's input square: from `-resN` in its name in the config, else its own.

        UserError for a checkpoint with other towers than the four of the published models.
        """
        from transformers import CLIPVisionConfig, SiglipVisionConfig

        named = self._published["mm_vision_tower_aux_list"]
        said = [re.search(r"-res(\d+)", name) for name in named]
        if len(named) != len(TOWERS) or "multi-stage" not in named[3]:
            raise UserError(f"model.path={self.path}: reads {named}; only the four towers of the published models can")
        with locating.loading(self._tower("siglip", tensors=False), _key("siglip")):
            siglip = SiglipVisionConfig.from_pretrained(self._tower("siglip", tensors=False)).image_size
        with locating.loading(self._tower("clip", tensors=False), _key("clip")):
            clip = CLIPVisionConfig.from_pretrained(self._tower("clip", tensors=False)).image_size
        convnext = int(said[3][1]) if said[3] else _CONVNEXT_SIDE
        return {"siglip": siglip, "clip": clip, "dinov2": self._dinov2_side(said[2]), "convnext": convnext}

    def _dinov2_side(self, said: re.Match[str] | None) -> int:
        from transformers import Dinov2Config

        if said:
            return int(said[1])
        with locating.loading(self._tower("dinov2", tensors=False), _key("dinov2")):
            return int(Dinov2Config.from_pretrained(self._tower("dinov2", tensors=False)).image_size)

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoTokenizer, PreTrainedConfig

        from pixfound.models.cambrian.inputs import CambrianProcessor, Pictures

        published = self._published
        with locating.loading(self.path, "model.path"):
            # of an empty config: the folder's own is of a class that transformers does not know, and warns about
            tokenizer = AutoTokenizer.from_pretrained(self._description, config=PreTrainedConfig())
        tokenizer.padding_side, tokenizer.clean_up_tokenization_spaces = "left", False
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.add_tokens(["<image>"], special_tokens=True)
        pictures = Pictures(self._sides, int(published["image_token_len"] ** 0.5))
        return CambrianProcessor(tokenizer, pictures, self.prompt, int(published["image_position"]))

    @cached_property
    def _config(self) -> Any:
        """LLaVA's config with the vision config of the CLIP tower and the published Llama's text config."""
        from transformers import CLIPVisionConfig, LlavaConfig

        return LlavaConfig(
            vision_config=CLIPVisionConfig.from_pretrained(self._tower("clip", tensors=False)),
            text_config=llama_config(self._published),
            image_token_id=self._processor.tokenizer.convert_tokens_to_ids("<image>"),
        )

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self._processor, self._config, self.path, None, "native")

    def _design(self, towers: Any) -> Design:
        from pixfound.models.cambrian.modules import Design

        published = self._published
        inside = not published.get("connector_only", True)
        return Design(
            grids=[int(length**0.5) for length in published["mm_vision_tower_aux_token_len_list"]],
            widths=towers.widths(),
            side=self._processor.image_processor.unpadded_grid,
            inner=published["vision_hidden_size"],
            depth=published["connector_depth"],
            samplers=published["num_of_vision_sampler_layers"] if inside else 0,
            start=published["start_of_vision_sampler_layers"] if inside else 0,
            stride=published["stride_of_vision_sampler_layers"] if inside else 1,
            image_position=published["image_position"],
        )

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import GenerationConfig

        from pixfound.models.cambrian.modules import Cambrian1
        from pixfound.models.cambrian.towers import Towers

        published, encoder = self._published, self._encoder
        device = pick_device(self.device)
        check_memory(self._folder, self.path, self.dtype, device)
        checkpoint = conversion.Checkpoint(self._folder, self.path)
        with conversion.building(self.dtype, "model.dtype"):
            dtype = torch.get_default_dtype()
        grids = [int(length**0.5) for length in published["mm_vision_tower_aux_token_len_list"]]
        layer = int(published.get("mm_vision_select_layer", -2))
        folders = {name: self._tower(name, tensors=True) for name in TOWERS}
        towers = Towers(folders, self._sides, dict(zip(TOWERS, grids, strict=True)), layer, dtype)
        with conversion.building(self.dtype, "model.dtype"):
            model = Cambrian1(self._config, self._design(towers), self._processor.image_processor)
        conversion.load_strict(model, checkpoint, KEYS)
        model.model.towers = towers
        make_room(model, self._config.image_token_id)
        if (Path(self._folder) / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(self._folder)
        else:
            model.generation_config.eos_token_id = published["eos_token_id"]
        model = model.to(device).eval()
        self.speak_with(model, encoder.processor)
        return model


def _key(tower: str) -> str:
    return f"model.towers.{tower}.path"
