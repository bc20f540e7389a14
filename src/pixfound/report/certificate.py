"""What report.md says of the model's certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixfound.certify.certificate import folder_of
from pixfound.models.huggingface import HuggingFace
from pixfound.pipeline.parts import Part
from pixfound.report.text import escape
from pixfound.streams import parse_json


def certificate_lines(config: Mapping[str, Any], model: Part[Any]) -> list[str]:
    """One paragraph: the gates' result on this very model, or that there is none; [] for models that have none.

    config: the run's, resolved. model: the part that it names.
    """
    if not isinstance(model.built, HuggingFace):
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
    found = gate["detail"] if gate["value"] is None else f"{gate['value']:.3g}, limit {gate['limit']}"
    return escape(f"{gate['name']}: {found}{'' if gate['passed'] else ' FAILED'}")
