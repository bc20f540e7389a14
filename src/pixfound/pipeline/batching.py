"""`batch_size=auto`: as many prompts together as fit into the memory of every process."""

from __future__ import annotations

import logging
import sys

from pixfound.config.factory import Parts
from pixfound.config.settings import BatchSize
from pixfound.errors import PromptTooLong, UserError
from pixfound.interfaces import BatchFit
from pixfound.pipeline.distributed import World
from pixfound.pipeline.generate import generate_tasks
from pixfound.pipeline.images import read_images
from pixfound.pipeline.run_examples import RunExamples, by_length
from pixfound.pipeline.stage_loop import describe
from pixfound.store.store import Store

log = logging.getLogger(__name__)
_DEFAULT = 32  # for a model that cannot say what fits


def choose_batch_size(
    batch_size: BatchSize, run_examples: RunExamples, parts: Parts, store: Store, world: World
) -> BatchSize:
    """`batch_size`, or for "auto" the number that fits; "auto" again where all is generated.

    The trial takes the largest image and the longest prompts. Every process runs it at the same time, and the smallest
    number counts for all, since they share the same batches.
    """
    if batch_size != "auto" or all(task.done for task in generate_tasks(run_examples, store, _DEFAULT)):
        return batch_size
    fit = _try_out(run_examples, parts)
    size = world.least(fit.prompts)
    if world.first:
        print(f"batch_size=auto: {size}{fit.about()}", file=sys.stderr)
    return size


def _try_out(run_examples: RunExamples, parts: Parts) -> BatchFit:
    model = parts.model.built
    unknown = BatchFit(_DEFAULT, None, None, "")
    for run_example in by_length(run_examples):
        images, _ = read_images([(run_example, model)])
        if not images:
            continue  # a failure of that example, which the stage records
        try:
            return (
                model.max_batch(
                    [(images[run_example.index], run_example.prompt(kind)) for kind in run_example.example.kinds]
                )
                or unknown
            )
        except PromptTooLong:
            continue  # this too
        except UserError:
            raise
        except Exception as error:
            log.warning("batch_size=auto: the trial failed (%s)", describe(error))
            break
    return unknown
