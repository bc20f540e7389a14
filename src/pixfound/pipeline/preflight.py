"""Checks before anything is computed: pictures, the judge's server, and what must be known of the model."""

from __future__ import annotations

import logging

from pixfound.config.factory import Parts
from pixfound.errors import UserError
from pixfound.io.text import printable
from pixfound.pipeline.generate import generate_tasks
from pixfound.pipeline.run_examples import MASK_KINDS, RunExamples
from pixfound.pipeline.stores import Stores
from pixfound.types import KINDS

log = logging.getLogger(__name__)


def preflight(run_examples: RunExamples, parts: Parts, stores: Stores, max_failures: int) -> None:
    """Warn of unreadable pictures and of what the model lacks, and try the judge's server before any computation.

    Raises UserError where more would fail than `max_failures` allows, or where the judge could not be asked. A judge
    that is needed only for answers of an earlier run is not tried: its replies may be cached. Nor is a model, which
    runs first.
    """
    _check_pictures(run_examples, parts, max_failures)
    model, judge, generate = parts.model.built, parts.judge.built, stores.generate
    if not all(task.done for task in generate_tasks(run_examples, generate, 1)):
        for line in model.cautions():
            log.warning("%s", printable(line))
    if any(generate.get(task.key, task.digest) is None for task in generate_tasks(run_examples, generate, 1)):
        judge.check()


def _check_pictures(run_examples: RunExamples, parts: Parts, max_failures: int) -> None:
    unreadable, names = run_examples.unreadable
    extractors = sum(part.built.needs_image for part in parts.extractors.values())
    failures = unreadable * (len(KINDS) if parts.model.built.needs_image else len(MASK_KINDS) * extractors)
    if not failures:
        return
    more = f" and {unreadable - len(names)} more" if unreadable > len(names) else ""
    problem = (
        f"{unreadable} of {len(run_examples)} examples have a picture that is missing or cannot be read: "
        f"{', '.join(names)}{more}"
    )
    if failures > max_failures:
        raise UserError(
            f"{problem}; that is more than max_failures={max_failures} allows ({failures} would fail): put them there, "
            "or leave these examples out"
        )
    log.warning("%s; these examples will fail", printable(problem))
