"""Composition of configs by Hydra, which reads each file of the package and parses each interpolation once.

Most of the time of composing goes into these, and tests compose a thousand configs of the same files.
"""

from __future__ import annotations

import copy
from functools import cache, lru_cache
from typing import Any

import omegaconf
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository


@cache
def install() -> None:
    """Make Hydra and OmegaConf in this process do so. Folders of files (`--config-dir`) are read each time."""
    ConfigRepository.load_config = _kept(ConfigRepository.load_config, _file)
    ConfigLoaderImpl._compose_config_from_defaults_list = _kept(
        ConfigLoaderImpl._compose_config_from_defaults_list, _composition
    )
    parse = lru_cache(maxsize=4096)(omegaconf.grammar_parser.parse)
    omegaconf.base.parse = omegaconf._utils.parse = parse


def _file(repository: Any, config_path: str) -> Any:
    sources = [(source.scheme(), source.path, source.provider) for source in repository.get_sources()]
    return None if any(scheme == "file" for scheme, *_ in sources) else (config_path, *sources)


def _composition(loader: Any, defaults: Any, repo: Any) -> Any:
    return None if any(source.scheme() == "file" for source in repo.get_sources()) else repr(defaults)


def _kept(work: Any, key_of: Any) -> Any:
    """The same method, whose results are kept by key and given as copies; nothing is kept for the key None."""
    kept: dict[Any, Any] = {}

    def again(self: Any, *arguments: Any, **keywords: Any) -> Any:
        key = key_of(self, *arguments, **keywords)
        if key is None:
            return work(self, *arguments, **keywords)
        if key not in kept:
            kept[key] = work(self, *arguments, **keywords)
        return copy.deepcopy(kept[key])

    return again
