"""The paragraph of report.md about the model's certificate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixfound.config.factory import Part
from pixfound.config.settings import outputs_folder
from pixfound.io.fingerprints import fingerprint
from pixfound.io.text import escape
from pixfound.io.text_files import parse_json
from pixfound.models.decoder_model import DecoderModel


def certificate_lines(config: Mapping[str, Any], model: Part[Any]) -> list[str]:
    """One paragraph: the gates' result on this very model, or that there is none; [] for models that have none.

    config: the run's, resolved. model: the part that it names.
    """
    if not isinstance(model.built, DecoderModel):
        return []
    file = folder_of(config, model) / "certificate.json"
    name = config["names"]["model"]
    try:
        body = parse_json(file.read_text(encoding="utf-8"))
        gates = [_gate(gate) for gate in body["gates"] if gate["passed"] is not None]
        result = "passed" if body["passed"] else "**failed**"
    except (OSError, ValueError, KeyError, TypeError):
        return [
            "Certificate of the model: there was none for these weights and options when this report was written; "
            f"`pixfound-certify model={escape(name)}`, with the run's other model options, makes it."
        ]
    return [f"Certificate of the model: {result} ({', '.join(gates)}); see `{escape(str(file.with_suffix('.md')))}`."]


def _gate(gate: Mapping[str, Any]) -> str:
    measured = gate["detail"] if gate["value"] is None else f"{gate['value']:.3g}, limit {gate['limit']}"
    return escape(f"{gate['name']}: {measured}{'' if gate['passed'] else ' FAILED'}")


def folder_of(config: Mapping[str, Any], part: Part[Any]) -> Path:
    """The folder of a model's certificate, which need not exist. config: resolved. part: the model that it names."""
    named: Path = outputs_folder(config) / "certificates" / config["names"]["model"]
    return named / fingerprint(model=part.identity())
