"""A run over a judge that is down and echoes its key, and a model that says markup: nothing of either gets through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from pixfound.interfaces import Model
from pixfound.types import Generation, Prompt
from tests.support.forked import run_forked
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import count_lines

KEY = "sk-secret-0123456789abcdef"
EVIL = "<script>alert(1)</script> ![x](http://tracker.example/a.png) [red]big[/red] \x1b[31m \x1b]8;;x\x07 | a"


class Evil(Model):
    """Says what a browser or a terminal would act on."""

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        return [Generation(EVIL, (image.height, image.width)) for image, _ in requests]


@pytest.mark.parametrize("grid", [False, True], ids=["alone", "grid"])
def test_no_key_is_stored_and_nothing_that_is_said_acts(grid: bool, models: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("wandb")
    outputs = tmp_path / "out"
    environment = {"OPENAI_API_KEY": KEY, "WANDB_API_KEY": KEY, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    down = Act(status=500, error={"message": f"the key {KEY} \x1b[31m is <b>not</b> liked"})
    with JudgeServer(down) as server:
        command = [*(["-m"] if grid else []), "limit=2"]
        command += ["extraction=nulls", f"outputs_dir={outputs}", "judge=openai", f"judge.base_url={server.url}"]
        command += ["judge.max_retries=0", "tracker=wandb", "tracker.mode=offline"]
        command += ["~model", "+model={_target_:tests.test_secrets.Evil}", f"segmenter.path={models / 'sam'}"]
        command += ["scoring.resamples=100", "report.pictures=2", "names.model=evil"]
        done = run_forked(*command, environment=environment)
        assert done.returncode == 2, done.stderr
        if not grid:
            assert "2 scores are missing because of failures" in done.stderr
        assert "InternalServerError" in done.stderr or "500" in done.stderr
        texts = [done.stdout, done.stderr]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) > 10
        assert not [path for path in files if KEY.encode() in path.read_bytes() or KEY in str(path)]
        assert not [text for text in texts if KEY in text or "\x1b" in text or "\x07" in text]
        for report in (path for path in files if path.suffix == ".md"):
            said = report.read_text()
            assert not [evil for evil in ("<script", "<b>", "](http://tracker", "\x1b", "\x07") if evil in said]
        before = count_lines(outputs)
        server.script[:] = [Act()]
        again = run_forked(*command, environment=environment)
    assert again.returncode == 0, again.stderr
    after = count_lines(outputs)
    assert after["grade"] == before["grade"] + 2, "only what failed is asked again"
    assert {k: v for k, v in after.items() if k != "grade"} == {k: v for k, v in before.items() if k != "grade"}
