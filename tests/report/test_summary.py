"""What is unscored, in words."""

from __future__ import annotations

from pixfound.report.summary import unscored_words


def test_rows_with_the_same_counts_are_named_together() -> None:
    assert unscored_words({}) == ""
    assert unscored_words({"answers.open": 11}) == "answers: 11 open"
    counts = {"answers.open": 1, "answers.ground": 2} | {f"masks.{row}.open": 3 for row in ("oracle", "a.b")}
    assert (
        unscored_words({**counts, "masks.full.open": 1, "masks.full.ground": 1})
        == "answers: 1 open, 2 ground; masks of oracle, a.b: 3 open; masks of full: 1 open, 1 ground"
    )
