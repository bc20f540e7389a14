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


def preflight(items: RunExamples, parts: Parts, stores: Stores, max_failures: int) -> None:
    """Say which pictures cannot be read and what the model lacks, and try the judge's server while nothing waits.

    Raises UserError where more would fail than `max_failures` allows, or where the judge could not be asked. A judge
    that is needed for answers of an earlier run is left alone: its replies may be kept. So is a model: it is the first
    to be asked.
    """
    _check_pictures(items, parts, max_failures)
    model, judge, generate = parts.model.built, parts.judge.built, stores.generate
    if not all(task.done for task in generate_tasks(items, generate, 1)):
        for line in model.cautions():
            log.warning("%s", printable(line))
    if any(generate.get(task.key, task.digest) is None for task in generate_tasks(items, generate, 1)):
        judge.check()


def _check_pictures(items: RunExamples, parts: Parts, max_failures: int) -> None:
    lost, names = items.unreadable
    looking = sum(part.built.needs_image for part in parts.extractors.values())
    fails = lost * (len(KINDS) if parts.model.built.needs_image else len(MASK_KINDS) * looking)
    if not fails:
        return
    more = f" and {lost - len(names)} more" if lost > len(names) else ""
    said = f"{lost} of {len(items)} examples have a picture that is missing or cannot be read: {', '.join(names)}{more}"
    if fails > max_failures:
        raise UserError(
            f"{said}; that is more than max_failures={max_failures} allows ({fails} would fail): put them there, or "
            "leave these examples out"
        )
    log.warning("%s; these examples will fail", printable(said))
