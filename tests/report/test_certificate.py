"""report.md says whether this very model has a certificate, and what is in it."""

from __future__ import annotations

import json
from pathlib import Path

from pixfound.apps.certify.certificate import certify
from pixfound.apps.evaluation import evaluate
from pixfound.config.factory import build
from pixfound.interfaces import Model
from pixfound.report.certificate import certificate_lines, folder_of
from tests.support.run import config_of


def test_a_report_names_the_certificate_of_the_same_model(tmp_path: Path) -> None:
    options = ["model=tiny", f"outputs_dir={tmp_path}"]
    run = [*options, "extraction=nulls", "report.pictures=0"]

    def report(limit: int) -> str:
        return (evaluate(config_of(*run, f"limit={limit}")).folder / "report.md").read_text()

    assert "there was none for these weights and options when this report was written; `pixfound-certify" in report(2)
    folder = certify(config_of(*options)).folder
    text = report(4)
    assert "Certificate of the model: passed (chat template: its own, text with and without capture: 1, " in text
    assert "geometry: " in text and "FAILED" not in text
    assert f"see `{folder / 'certificate.md'}`" in text
    other = config_of(*run, "model.generation.max_new_tokens=3")
    assert "there was none" in certificate_lines(other, build(other["model"], "model", Model))[0]


def test_a_gate_that_is_shut_and_a_broken_file_are_said(tmp_path: Path) -> None:
    config = config_of("model=tiny", f"outputs_dir={tmp_path}")
    model = build(config["model"], "model", Model)
    file = folder_of(config, model) / "certificate.json"
    file.parent.mkdir(parents=True)
    gates = [
        {"name": "batch", "passed": None, "value": None, "limit": ""},
        {"name": "attention", "passed": False, "value": 0.25, "limit": "<= 1e-05"},
    ]
    file.write_text(json.dumps({"passed": False, "gates": gates}))
    (line,) = certificate_lines(config, model)
    assert line.startswith("Certificate of the model: **failed** (attention: 0.25, limit &lt;= 1e-05 FAILED); see")
    file.write_text("[]")
    assert "there was none" in certificate_lines(config, model)[0]


def test_a_model_that_has_no_certificates_needs_no_line() -> None:
    config = config_of("model=openai", "model.model=m")
    assert certificate_lines(config, build(config["model"], "model", Model)) == []
