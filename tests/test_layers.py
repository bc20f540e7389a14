"""The layers are a contract of import-linter (setup.cfg, `make check`); circles inside a package are found here."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and under TYPE_CHECKING count. A circle is a CycleError that names its modules.

    The package itself is left out: what it offers is imported when it is asked for.
    """
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("pixfound")
    modules = graph.modules - {"pixfound"}
    TopologicalSorter({name: graph.find_modules_directly_imported_by(name) & modules for name in modules}).prepare()
    assert len(graph.modules) > 200
