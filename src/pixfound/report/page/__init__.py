"""The page of one run or of several: static files that a browser opens from disk, with no request to any host."""

from __future__ import annotations

from pixfound.report.page.writer import PageRun, write_page

__all__ = ["PageRun", "write_page"]
