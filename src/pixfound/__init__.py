"""pixfound: does a multi-modal model see what it says? Paired VQA and grounding, for any model."""

import sys as _sys
from importlib import util as _util
from pathlib import Path as _Path

__version__ = "0.1.0"


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
