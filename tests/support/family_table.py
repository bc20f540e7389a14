"""The table of model families, made of what the tests find: `python -m tests.support.family_table`.

VQA: the whole pipeline gives answers and scores. attention: its rows equal eager attention, step by step and in one
pass, moved pixels change the token that the tiles name, and pictures of any size have tiles.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import pytest

from tests.support.families import FAMILIES

COLUMNS = {
    "VQA": ("test_families_run", "test_prompts_of_families"),
    "attention": ("test_families.py", "test_odd_sizes"),
    "certificate": ("test_certify",),
}


class Outcomes:
    """A pytest plugin that counts what passed and what did not, for each family and column."""

    def __init__(self) -> None:
        self.passed: dict[tuple[str, str], int] = defaultdict(int)
        self.failed: dict[tuple[str, str], int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        parameters = report.nodeid.partition("[")[2].rstrip("]")
        families = [f for f in FAMILIES if f in (parameters, *parameters.split("-"))]
        for column, files in COLUMNS.items():
            if families and any(file in report.nodeid for file in files):
                (self.passed if report.passed else self.failed)[families[0], column] += 1


def main() -> None:
    """Run the tests of families and print the table as Markdown."""
    outcomes = Outcomes()
    code = pytest.main(["tests/models", "tests/certify", "-o", "addopts=", "-p", "no:terminal"], plugins=[outcomes])
    print(f"| family | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for family in FAMILIES:
        cells = []
        for column in COLUMNS:
            passed, failed = outcomes.passed[family, column], outcomes.failed[family, column]
            cells.append(f"{failed} of {passed + failed} fail" if failed else f"yes ({passed})" if passed else "-")
        print(f"| {family} | {' | '.join(cells)} |")
    sys.exit(code)


if __name__ == "__main__":
    main()
