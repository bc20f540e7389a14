"""Names of runs: the options in which they differ."""

from __future__ import annotations

from pixfound.pipeline.run_names import differing


def test_an_option_stands_for_those_that_are_taken_from_it() -> None:
    one = {"seed": 0, "scoring.resamples": 100, "analyses.when.resamples": 100, "model.dtype": "a", "limit": None}
    other = {"seed": 0, "scoring.resamples": 200, "analyses.when.resamples": 200, "model.dtype": "b", "limit": 4}
    own = {**other, "analyses.when.resamples": 9, "segmenter.dtype": "b"}
    assert differing(one, [one, other]) == ["scoring.resamples=100", "model.dtype=a", "limit=null"]
    assert differing(other, [one, other]) == ["scoring.resamples=200", "model.dtype=b", "limit=4"]
    assert differing(own, [one, own]) == [
        *("scoring.resamples=200", "analyses.when.resamples=9", "model.dtype=b", "limit=4", "segmenter.dtype=b")
    ]
