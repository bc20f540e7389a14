"""Cambrian-1 (arXiv 2406.16860): an MLLM with four vision towers and a Spatial Vision Aggregator.

It is composed of transformers' Llama, SigLIP, CLIP, DINOv2 and ConvNeXt, and of `pixfound.models.cambrian.aggregator`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pixfound.checkpoints import conversion, locating
from pixfound.checkpoints.weight_memory import check_memory
from pixfound.compute.devices import AutoDtype, pick_device
from pixfound.errors import UserError, nearest
from pixfound.models.cambrian import TOWERS
from pixfound.models.converted_model import ConvertedModel
from pixfound.models.geometry.batch_encoder import check_prompt
from pixfound.models.pixel.llama import llama_config, make_room

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


@dataclass(eq=False, kw_only=True)
class Cambrian(ConvertedModel):
    """A published Cambrian-1 checkpoint.

    towers: `path` (hub id or folder) and `revision` of siglip, clip, dinov2 and convnext, which the checkpoint does not
        contain.
    prompt: the whole prompt, with <image> for the image and {} for the question or expression. <image> must be at the
        token `image_position` of the checkpoint's config, as the layers inside the language model read it there.
    The other arguments are those of `DecoderModel`.
    """

    dtype: AutoDtype = "float16"
    towers: Mapping[str, Mapping[str, str | None]]
    prompt: str

    # `identity` has the towers' digests, or ids and revisions
    runtime_options: ClassVar[tuple[str, ...]] = (*ConvertedModel.runtime_options, "towers")

    def __post_init__(self) -> None:
        for name in ("num_beams", "num_return_sequences"):
            if int(self.generation.get(name) or 1) > 1:
                raise UserError(f"model.generation.{name}: must be 1, as each answer reads the image of one request")
        super().__post_init__()
        check_prompt(self.prompt)
        for name in self.towers:
            if name not in TOWERS:
                raise UserError(f"model.towers.{name}: no such tower; {nearest(name, TOWERS)}")
        for name in TOWERS:
            if not self.towers.get(name, {}).get("path"):
                raise UserError(f"model.towers.{name}.path: is missing; give a hub id or a folder of its weights")

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, the towers' included; part of the fingerprint."""
        towers = {
            name: locating.identity(str(tower["path"]), tower.get("revision"), _key(name))
            for name, tower in self.towers.items()
        }
        return {**super().identity(), "towers": towers}

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the hub id or folder of each tower."""
        return {**super().provenance(), "towers": self.towers}

    def _tower(self, name: str, tensors: bool) -> str:
        tower = self.towers[name]
        return conversion.fetch(str(tower["path"]), tower.get("revision"), _key(name), tensors)

    def _check_published(self, published: Mapping[str, Any]) -> None:
        if published.get("mm_projector_type") != "sva" or any(name not in published for name in _NEEDED):
            raise UserError(
                f"model.path={self.path}: holds a {published.get('model_type')} model without Cambrian-1's config "
                "(mm_projector_type sva); give its published repository, or use model=hf"
            )
        if list(published["query_num_list"]) != [published["image_token_len"]]:
            raise UserError(
                f"model.path={self.path}: has queries {published['query_num_list']} for {published['image_token_len']} "
                "tokens; the published models have one query for each token, and only those can be read"
            )

    @cached_property
    def _sides(self) -> Mapping[str, int]:
        """Side in pixels of each tower's input square: from `-resN` in its name in the config, else its own.

        UserError for a checkpoint with other towers than the four of the published models.
        """
        from transformers import CLIPVisionConfig, Dinov2Config, SiglipVisionConfig

        names = self._published["mm_vision_tower_aux_list"]
        if len(names) != len(TOWERS) or "multi-stage" not in names[3]:
            raise UserError(f"model.path={self.path}: reads {names}; only the four towers of the published models can")
        _, _, dinov2, convnext = (re.search(r"-res(\d+)", name) for name in names)
        return {
            "siglip": self._image_size("siglip", SiglipVisionConfig),
            "clip": self._image_size("clip", CLIPVisionConfig),
            "dinov2": int(dinov2[1]) if dinov2 else self._image_size("dinov2", Dinov2Config),
            "convnext": int(convnext[1]) if convnext else _CONVNEXT_SIDE,
        }

    def _image_size(self, name: str, config: Any) -> int:
        """`image_size` in a tower's own config. config: its class in transformers."""
        folder = self._tower(name, tensors=False)
        with locating.loading(folder, _key(name)):
            return int(config.from_pretrained(folder).image_size)

    def _load_processor(self) -> Any:
        from transformers import AutoTokenizer, PreTrainedConfig

        from pixfound.models.cambrian.inputs import CambrianProcessor, Pictures

        published = self._published
        with locating.loading(self.path, "model.path"):
            # of an empty config: the folder's own is of a class that transformers does not know, and warns about
            tokenizer = AutoTokenizer.from_pretrained(self._description, config=PreTrainedConfig())
        tokenizer.clean_up_tokenization_spaces = False
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.add_tokens(["<image>"], special_tokens=True)
        pictures = Pictures(self._sides, int(published["image_token_len"] ** 0.5))
        return CambrianProcessor(tokenizer, pictures, self.prompt, int(published["image_position"]))

    def _load_config(self) -> Any:
        """LLaVA's config with the vision config of the CLIP tower and the published Llama's text config."""
        from transformers import CLIPVisionConfig, LlavaConfig

        return LlavaConfig(
            vision_config=CLIPVisionConfig.from_pretrained(self._tower("clip", tensors=False)),
            text_config=llama_config(self._published),
            image_token_id=self._processor.tokenizer.convert_tokens_to_ids("<image>"),
        )

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

    def _load_model(self) -> Any:
        import torch
        from transformers import GenerationConfig

        from pixfound.models.cambrian.modules import Cambrian1
        from pixfound.models.cambrian.towers import Towers

        published = self._published
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
        return model.to(device).eval()


def _key(tower: str) -> str:
    return f"model.towers.{tower}.path"
