"""The command `pixfound-certify`: takes the configuration of `pixfound` and uses its model."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from pixfound.apps.evaluate import CONFIG, guarded, resolve
from pixfound.errors import UserError
from pixfound.io.terminal import complain, say


def main() -> None:
    """Write a certificate; the exit code is 0 if every gate passed, 1 if one failed, 2 if there is no certificate."""
    guarded(_app)


@hydra.main(version_base="1.3", config_path=CONFIG, config_name="config")
def _app(config: DictConfig) -> None:
    from pixfound.apps.certify.certificate import certify

    try:
        certificate = certify(resolve(config))
    except UserError as error:  # Hydra would name all overrides first
        complain("pixfound", error)
        sys.exit(2)
    marks = {True: "passed", False: "FAILED", None: "not used"}
    for gate in certificate.gates:
        value = "" if gate.value is None else f"{gate.value:.3g}"
        say(f"{marks[gate.passed]:8}  {gate.name:26}  {value:>9} {gate.limit}  {gate.detail}".rstrip())
    say(f"{'passed' if certificate.passed else 'FAILED'}: {certificate.folder / 'certificate.md'}")
    if not certificate.passed:
        sys.exit(1)
