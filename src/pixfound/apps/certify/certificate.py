"""A certificate on disk: certificate.json, certificate.md and certificate.png."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixfound.apps.certify.gates import Findings, Gate, run_gates
from pixfound.apps.certify.pictures import draw, golden_examples
from pixfound.compute.devices import use_threads
from pixfound.config.factory import build
from pixfound.config.settings import check_names
from pixfound.errors import UserError
from pixfound.extractors.attention_maps import image_map, peak, token_rows
from pixfound.extractors.maps import MapExtractor
from pixfound.extractors.proposers import MeanBox
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.extractors.units import NounPhrases
from pixfound.interfaces import Model, PhraseFinder
from pixfound.io.atomic import make_folder, write_atomic, write_picture
from pixfound.io.text import escape, grid
from pixfound.models.decoder_model import DecoderModel
from pixfound.prompts.builder import Prompts
from pixfound.report.certificate import folder_of
from pixfound.store.provenance import provenance
from pixfound.types import FloatArray


@dataclass(frozen=True)
class Certificate:
    """A written certificate. folder: its location. passed: True if no gate failed."""

    folder: Path
    passed: bool
    gates: tuple[Gate, ...]


def certify(config: Mapping[str, Any]) -> Certificate:
    """Run the gates on the model of a resolved config, and write the findings."""
    check_names(config["names"])
    part = build(config["model"], "model", Model)
    model = part.built
    if not isinstance(model, DecoderModel):
        raise UserError(f"model._target_={config['model']['_target_']}: only Hugging Face models have certificates")
    folder = folder_of(config, part)
    make_folder(folder)
    use_threads(config["launch"]["threads"])
    asking = build(config["prompts"], "prompts", Prompts).built
    examples = golden_examples()
    findings = run_gates(model, examples, [asking.prompt(example, "ground") for example in examples])
    heat, label = (
        _heat(findings, build(config["phrases"], "phrases", PhraseFinder).built) if model.captures else (None, "")
    )
    body = _body(config, model, findings, heat, label)
    write_picture(folder / "certificate.png", draw(findings, heat, label))
    write_atomic(folder / "certificate.md", _markdown(body))
    write_atomic(folder / "certificate.json", json.dumps(body, indent=2) + "\n")
    return Certificate(folder, findings.passed, findings.gates)


def _heat(findings: Findings, phrases: Any) -> tuple[FloatArray, str]:
    """(map (H, W), label): attention of the golden answer's first noun phrase, or of all its tokens without one."""
    generation = findings.generation
    extractor = MapExtractor(TokenAttention(), NounPhrases(phrases), MeanBox(), None)
    for phrase in phrases.phrases(generation.text):
        heat = extractor.attention_map(generation, phrase)
        if heat is not None:
            return heat, f"attention of {phrase.text!r}"
    rows = token_rows(generation, subtract_mean=False).mean(axis=0)
    return image_map(rows, generation.tiles, generation.image_size), "attention of the answer"


def _body(
    config: Mapping[str, Any], model: DecoderModel, findings: Findings, heat: FloatArray | None, label: str
) -> dict[str, Any]:
    """The JSON values of certificate.json."""
    loaded = model.loaded()
    point = None if heat is None else peak(heat)
    inside = None if point is None else bool(findings.golden.gt_mask.decode()[int(point[1]), int(point[0])])
    return {
        "model": config["names"]["model"],
        "passed": findings.passed,
        "weights": {
            "class": type(loaded).__name__,
            "parameters": sum(p.numel() for p in loaded.parameters()),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "device": str(loaded.device),
            "commit": model.commit(),
            **model.identity(),
        },
        "config": dict(config["model"]),
        "versions": provenance(),
        "gates": [asdict(gate) for gate in findings.gates],
        "golden": {
            "prompt": findings.prompt,
            "answer": findings.generation.text,
            "refers_to": findings.golden.expression,
            "map": label,
            "peak": point,
            "peak_on_it": inside,
            "image_tokens": sum(tile.grid[0] * tile.grid[1] for tile in findings.generation.tiles),
            "tiles": [asdict(tile) for tile in findings.generation.tiles],
        },
    }


def _markdown(body: Mapping[str, Any]) -> str:
    marks = {True: "passed", False: "**failed**", None: "not used"}
    gates = [
        [g["name"], marks[g["passed"]], "" if g["value"] is None else f"{g['value']:.3g}", g["limit"], g["detail"]]
        for g in body["gates"]
    ]
    golden, weights = body["golden"], body["weights"]
    facts = [[name, str(value)] for name, value in {**weights, **body["versions"]}.items() if value is not None]
    return (
        f"# Certificate of {escape(body['model'])}: {'passed' if body['passed'] else 'FAILED'}\n\n"
        f"{grid(['gate', 'result', 'value', 'limit', ''], gates)}\n\n"
        f"![golden picture, attention, moved pixels](certificate.png)\n\n"
        f"{grid(['golden picture', ''], [[k, str(golden[k])] for k in _GOLDEN])}\n\n"
        f"{grid(['weights and versions', ''], facts)}\n"
    )


_GOLDEN = ("prompt", "answer", "refers_to", "map", "peak", "peak_on_it", "image_tokens")
