"""Digest of the source of a component from outside the package: an edit must recompute its results."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]


def source_digest(target: Any) -> str | None:
    """Hash of the source files of a class or function from outside the package; None for one from inside.

    The files are its module's and those that it imports, also inside functions, from its own top-level package or, for
    a module without a package, from its own folder. Installed libraries are not followed: their versions are recorded.
    Also None where there is no file, as in a notebook.
    """
    module = sys.modules.get(target.__module__)
    package = target.__module__.partition(".")[0]
    file = getattr(module, "__file__", None)
    if package == _PACKAGE or module is None or file is None:
        return None
    root = _root(Path(file).resolve(), target.__module__)
    files: dict[Path, str] = {}
    waiting = [(Path(file).resolve(), target.__module__)]
    while waiting:
        path, name = waiting.pop()
        if path in files or path.suffix != ".py" or not _is_own(path, root):
            continue
        files[path] = name
        waiting += _imports(path, name)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _root(file: Path, name: str) -> Path:
    """The folder of the top-level package of module `name`, or the folder of its file where it has no package."""
    depth = name.count(".") + (file.name == "__init__.py")
    return file.parents[max(depth - 1, 0)]


def _is_own(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts


def _imports(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    """(file, name) of each module that a file imports anywhere in it and that can be found."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a module that is never imported, else building the component had failed
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = f"{'.' * node.level}{node.module or ''}"
            names = [base, *(f"{base}{'' if base.endswith('.') else '.'}{alias.name}" for alias in node.names)]
        else:
            continue
        for relative in names:
            module = _file(relative, package)
            if module is not None:
                yield module


def _file(name: str, package: str) -> tuple[Path, str] | None:
    try:
        name = resolve_name(name, package)
        module: ModuleType | None = sys.modules.get(name)
        origin = getattr(module, "__file__", None) if module else getattr(find_spec(name), "origin", None)
    except (ImportError, ValueError, AttributeError):  # no module: a name that one defines, or an optional library
        return None
    return (Path(origin).resolve(), name) if origin else None
