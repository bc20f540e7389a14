"""Metrics of regions by their names in `scoring.region_metrics`.

A name is `METRIC`, or `METRIC@THRESHOLD` where it has one, of `pixfound.scoring.region_metrics`. Two suffixes change
what it is taken over: `:skip_missing` leaves out examples without any prediction, which otherwise count as an empty
one, and `:mean_over_TAG` averages the metric over the values of a tag, each counted alike.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError, nearest
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.comparison import Comparison
from pixfound.scoring.estimates import Estimate, average
from pixfound.scoring.measured import Figure, Measured, mean
from pixfound.scoring.region_metrics import METRICS, Numbers

_NAME = re.compile(r"(?P<base>\w+)(@(?P<threshold>\d*\.?\d+))?(?P<skip>:skip_missing)?(:mean_over_(?P<tag>.+))?")
Groups = Mapping[str, Sequence[npt.NDArray[np.bool_]]]


@dataclass(frozen=True)
class Metric:
    """A named metric.

    name: as it was written. measure: the numbers of an example; None leaves it out. figure: the metric from those of
    all examples. tag: over whose values it is averaged; None for no tag.
    """

    name: str
    measure: Callable[[Comparison], Sequence[float] | None]
    figure: Figure
    tag: str | None

    def estimate(self, measured: Measured, groups: Groups, clusters: Resampler) -> Estimate:
        """The metric with its resamples. groups: tag -> for each value, (S,) which scores have it."""
        if not len(measured.of):
            return mean(measured, clusters)
        if self.tag is None:
            return self.figure(measured, clusters)
        return average([self.figure(measured.only(which), clusters) for which in groups.get(self.tag, ())])


def find_metric(name: str) -> Metric:
    """The metric of a name; raises UserError for one that there is not."""
    match = _NAME.fullmatch(str(name))
    base = match["base"] if match else str(name)
    if match is None or base not in METRICS:
        raise UserError(f"scoring.region_metrics: there is no metric {name}; {nearest(base, METRICS)}")
    function, figure = METRICS[base]
    parameter = inspect.signature(function).parameters.get("threshold")
    arguments = (float(match["threshold"]),) if match["threshold"] else ()
    if parameter is None and arguments:
        raise UserError(f"scoring.region_metrics: {base} has no threshold; type {base} in place of {name}")
    if parameter is not None and parameter.default is parameter.empty and not arguments:
        raise UserError(f"scoring.region_metrics: {base} needs a threshold; type {base}@0.5 in place of {name}")
    if any(not 0 < threshold <= 1 for threshold in arguments):
        raise UserError(f"scoring.region_metrics: {name}: a threshold is above 0 and at most 1; type {base}@0.5")

    def measure(comparison: Comparison) -> Sequence[float] | None:
        if match["skip"] and comparison.missing:
            return None
        numbers: Numbers = function(comparison, *arguments)
        return (float(numbers),) if isinstance(numbers, int | float) else numbers

    return Metric(name, measure, figure, match["tag"])
