"""Which device a process takes; torch's answers about GPUs are stood in for."""

from __future__ import annotations

import pytest
import torch

from pixfound.compute.devices import pick_device
from pixfound.errors import UserError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two GPUs; the list holds which ones were made current."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    return current


@pytest.mark.parametrize(("rank", "own"), [(None, "cuda:0"), ("0", "cuda:0"), ("1", "cuda:1"), ("2", "cuda:0")])
def test_each_process_takes_a_gpu_of_its_own_while_there_are_any(
    rank: str | None, own: str, gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert pick_device("auto") == own
    assert gpus == [torch.device(own)]
    assert torch.backends.cudnn.deterministic


def test_a_device_that_is_named_is_taken_as_it_is(gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [pick_device(name) for name in ("cpu", "cuda", "cuda:0")] == ["cpu", "cuda", "cuda:0"]
    assert gpus == [torch.device("cuda:0")]
    with pytest.raises(UserError, match=r"device=cuda:2: torch .* sees 2 GPUs here; give auto"):
        pick_device("cuda:2")
