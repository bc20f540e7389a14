"""Loading of a model's processor, assembled from its parts where transformers would need torchvision."""

from __future__ import annotations

import importlib.util
from typing import Any

from pixfound.checkpoints import locating
from pixfound.errors import UserError

_OPTIONAL = ("video", "audio", "feature_extractor")  # parts for inputs that are never used here
_PACKAGES = ("torchvision", "num2words", "sentencepiece", "tiktoken", "protobuf", "timm", "librosa", "scipy")


def load_processor(folder: str, path: str, config: Any = None, code: bool = False) -> Any:
    """The processor of the model in `folder`, with a tokenizer that pads on the left.

    path: the user's path, for error messages. config: a transformers config, where the folder's own has another class.
    code: True allows Python files of the folder to be run.
    Raises UserError with the name of a missing package.
    """
    from transformers import AutoConfig, AutoProcessor

    foreign = config is not None
    if not foreign:
        with locating.loading(path, "model.path"):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=code)
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=code)
        if foreign and not hasattr(processor, "image_processor"):
            raise ValueError("the folder does not say which processor is its own")
    except Exception as whole:  # tokenizers raises nothing narrower for a damaged file
        processor = _from_parts(folder, path, config, whole, code)
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise UserError(
            f"model.path={path}: its processor is a {type(processor).__name__}, without a tokenizer or an image "
            "processor, so it is no image-text-to-text model; give another model.path"
        )
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def _from_parts(folder: str, path: str, config: Any, cause: Exception, code: bool) -> Any:
    """The model's own processor class without its video processor, which in transformers needs torchvision."""
    from transformers import AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    if type(config) not in PROCESSOR_MAPPING:
        raise missing_package(cause, f"model.path={path}") from cause
    processor_class = PROCESSOR_MAPPING[type(config)]
    names = processor_class.get_attributes()
    if not any(_optional(name) for name in names):
        raise missing_package(cause, f"model.path={path}") from cause
    loaders = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}
    try:
        parts = [
            _Absent() if _optional(name) else loaders[name].from_pretrained(folder, trust_remote_code=code)
            for name in names
        ]
        settings, _ = processor_class.get_processor_dict(folder)
        return _tolerant(processor_class).from_args_and_dict(parts, settings)
    except Exception as error:
        raise missing_package(error, f"model.path={path}") from error


def put_together(processor_class: Any, image_processor: Any, tokenizer: Any, **settings: Any) -> Any:
    """A processor of the class `made` with these two parts, and an `_Absent` for each optional part."""
    parts = {name: _Absent() for name in processor_class.get_attributes() if _optional(name)}
    return _tolerant(processor_class)(image_processor=image_processor, tokenizer=tokenizer, **parts, **settings)


def _optional(name: str) -> bool:
    return any(word in name for word in _OPTIONAL)


def _tolerant(processor_class: Any) -> Any:
    """A subclass of a processor class that accepts an `_Absent` for any part."""

    class Partial(processor_class):  # type: ignore[misc]
        def __repr__(self) -> str:  # transformers' own would write the parts as JSON
            return str(processor_class.__name__)

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if isinstance(argument, _Absent):
                return _Absent
            return super().check_argument_for_proper_class(argument_name, argument)

    Partial.__name__ = Partial.__qualname__ = processor_class.__name__
    return Partial


class _Absent:
    """Placeholder for a missing part of a processor: without settings, and reading nothing."""

    model_input_names: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def missing_package(error: Exception, where: str) -> UserError:
    """The package to install, where one is missing; else the reason why the processor cannot be made.

    where: the user's setting as KEY=VALUE.
    """
    text = " ".join(str(error).split())
    if locating.wants_code(error):
        return UserError(f"{where}: {locating.OWN_CODE}")
    is_missing = isinstance(error, ImportError) or "missing optional dependencies" in text.lower()
    packages = [name for name in _PACKAGES if is_missing and name in text.lower() and not _installed(name)]
    if packages:
        build = ", in the build that fits your torch" if "torchvision" in packages else ""
        return UserError(
            f"{where}: its processor needs {' and '.join(packages)}: pip install {' '.join(packages)}{build}; "
            "then run the same command"
        )
    return UserError(
        f"{where}: its processor cannot be made ({type(error).__name__}: {text[:200]}); fetch the whole repository, "
        "with all that describes its tokenizer and its image processor"
    )


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
