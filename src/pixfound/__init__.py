"""pixfound: does a multi-modal model see what it says? Paired VQA and grounding, for any model.

In Python: `evaluate` and `open_run` give a run; `ask` asks about one picture; `attention` captures
where a loaded transformers model looks.
"""

import sys as _sys
from importlib import import_module as _import_module
from importlib import util as _util
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from pixfound.apps.ask.cli import ask
    from pixfound.apps.attend import attention, attention_map, overlay
    from pixfound.apps.run import Run, evaluate, open_run
    from pixfound.errors import UserError

__version__ = "0.1.0"
__all__ = ["Run", "UserError", "ask", "attention", "attention_map", "evaluate", "open_run", "overlay"]
_HOMES = {  # imported when they are asked for: `import pixfound` imports nothing
    **dict.fromkeys(("attention", "attention_map", "overlay"), "pixfound.apps.attend"),
    **dict.fromkeys(("Run", "evaluate", "open_run"), "pixfound.apps.run"),
    "UserError": "pixfound.errors",
    "ask": "pixfound.apps.ask.cli",
}


def __getattr__(name: str) -> _Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _find_conf() -> None:
    """Bind `pixfound.conf` to conf/ of the clone that holds this file; where there is none, an installation has it.

    A clone on PYTHONPATH is not installed, and an installation of another clone would offer its own conf/.
    """
    conf = _Path(__file__).resolve().parents[2] / "conf"
    if (conf / "config.yaml").is_file():
        spec = _util.spec_from_file_location(
            "pixfound.conf", conf / "__init__.py", submodule_search_locations=[str(conf)]
        )
        assert spec is not None and spec.loader is not None
        _sys.modules["pixfound.conf"] = module = _util.module_from_spec(spec)
        spec.loader.exec_module(module)


_find_conf()
