"""The page of a run in a real browser, against the run's own files and records."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.apps.view import main as view
from pixfound.apps.view import server_of
from pixfound.pipeline.results import Result
from pixfound.pipeline.run_data import RunData
from pixfound.types.token_spans import tokens_of
from tests.report.page.conftest import OPTIONS
from tests.support.run import config_of, scores_of
from tests.support.talker import Talker
from tests.test_hostile_text import IDS, SAID, write_benchmark

Visit = Callable[..., Any]
Shoot = Callable[[Any, str], None]
# Pixels of the canvas at the middle of each pixel of the picture, one channel: 3 is opacity.
OTHER = ("model.keep=layers", "extraction.extractors.attention.row=self")
SAMPLED = """channel => {
  const canvas = document.querySelector(".stage canvas");
  const [height, width] = pixfound.stages[0].data.size;
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (i, size, of) => Math.floor((i + 0.5) * of / size);
  return Array.from({length: height}, (_, y) => Array.from({length: width}, (_, x) =>
    all[4 * (at(y, height, canvas.height) * canvas.width + at(x, width, canvas.width)) + channel]));
}"""


@pytest.fixture(scope="module")
def page(finished: Result) -> Path:
    return finished.folder / "page"


@pytest.fixture(scope="module")
def data(finished: Result) -> RunData:
    return RunData.open(finished.folder)


@pytest.fixture(scope="module")
def lines(finished: Result) -> dict[Any, Any]:
    return {(s["example_id"], s["kind"], s["row"]): s for s in scores_of(finished)}


@pytest.fixture(scope="module")
def compared(finished: Result, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs: the second has another seed, keeps layers' attention, and reads a token's own row."""
    other = evaluate(config_of(*OPTIONS, f"outputs_dir={outputs}", "seed=1", *OTHER, "report.page=false"))
    folder = tmp_path_factory.mktemp("compared") / "page"
    view([str(finished.folder), str(other.folder), "--folder", str(folder)])
    return folder


def address(**state: str) -> str:
    return urlencode(state)


def go(tab: Any, **state: str) -> None:
    """Another state of the same page."""
    tab.evaluate("address => { location.hash = address }", address(**state))
    tab.wait_for_timeout(150)


def shown_ids(tab: Any) -> list[str]:
    """Ids of the cards that the filters ask for, in order."""
    return list(tab.locator(".card:not(.other) .title bdi").all_text_contents())


def sampled(tab: Any, channel: int = 3) -> npt.NDArray[Any]:
    return np.array(tab.evaluate(SAMPLED, channel))


def test_the_overview_has_the_numbers_of_metrics_json(page: Path, finished: Result, visit: Visit, shoot: Shoot) -> None:
    tab = visit(page)
    metrics = json.loads((finished.folder / "metrics.json").read_text())["metrics"]
    for row, line in zip(metrics["rows"], tab.locator("main tbody tr").all(), strict=True):
        cells = line.locator("td .number").all_text_contents()
        shares = [metrics["rows"][row][name] for name in ("M", "M_dagger", "S")]
        for found, share in zip(cells[2:5], shares, strict=True):
            numbers = [float(number) for number in re.findall(r"[\d.]+", found)]
            assert numbers == pytest.approx([100 * share[end] for end in ("value", "low", "high")], abs=0.051)
    counts = metrics["rows"]["similarity"]["quadrants"]
    tips = tab.locator("[data-tip^='similarity, ']").evaluate_all("all => all.map(one => one.dataset.tip)")
    assert [int(n) for tip in tips for n in re.findall(r": (\d+) examples", tip)] == [n for n in counts.values() if n]
    with tab.expect_download() as saved:
        tab.get_by_label("Accuracy against IoU as PNG").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    assert tab.evaluate("[...document.querySelector('.overview').childNodes].every(node => node instanceof Element)")
    shoot(tab, "overview")
    tab.locator("[data-tip^='similarity, both']").click()
    tab.wait_for_selector(".card .title")  # filled when it is in sight
    assert len(shown_ids(tab)) == counts["both"]
    tab.go_back()
    tab.locator("tbody th a", has_text="oracle").click()  # figures follow the row
    assert tab.get_by_role("heading", name="IoU of oracle, ground prompt").count() == 1
    tab.locator("[data-tip^='presence: IoU']").click()
    tab.wait_for_selector(".card .title")
    presence = {item["example_id"] for item in scores_of(finished) if item["tags"]["category"] == "presence"}
    assert set(shown_ids(tab)) == presence


def test_every_filter_and_order(page: Path, data: RunData, lines: dict[Any, Any], visit: Visit, shoot: Shoot) -> None:
    tab = visit(page, address(view="examples"))
    every = [item.id for item in data.examples]
    texts = {}
    for item in data.examples:
        replies = [lines[item.id, kind, None]["response"] for kind in ("open", "choice", "ground")]
        example = item.example
        texts[item.id] = " ".join([item.id, example.question, example.expression, example.right_answer, *replies])

    def iou(id: str, row: str = "similarity", kind: str = "ground") -> float:
        found: float = lines[id, kind, row]["iou"]
        return found

    def right(id: str) -> bool:
        return bool(lines[id, "choice", None]["correct"])

    def quadrant(id: str, row: str = "similarity") -> tuple[bool, bool]:
        return right(id), iou(id, row) > 0.5

    def absent(id: str) -> bool:
        return bool(lines[id, "open", None]["absent"])

    boxes = {"both": (True, True), "answered only": (True, False)}
    select, check, write = "select_option", "check", "fill"
    cases: list[tuple[list[tuple[str, str, str]], Callable[[str], bool]]] = [
        *([([(check, name, "")], lambda id, q=q: quadrant(id) == q) for name, q in boxes.items()]),
        ([(select, "category", "colour")], lambda id: lines[id, "open", None]["tags"]["category"] == "colour"),
        ([(select, "Object", "absent")], absent),
        ([(select, "Object", "present")], lambda id: not absent(id)),
        ([(write, "IoU from", "0.9")], lambda id: iou(id) >= 0.9),
        ([(write, "IoU to", "0.9")], lambda id: iou(id) < 0.9),
        ([(write, "Text in", "RED")], lambda id: "red" in texts[id].lower()),
        (
            [(select, "Compare with", "row oracle"), (check, "only where they disagree", "")],
            lambda id: quadrant(id) != quadrant(id, "oracle"),
        ),
        ([(check, "unscored", "")], lambda id: False),
    ]
    for actions, wanted in cases:
        for action, label, value in actions:
            getattr(tab.get_by_label(label, exact=label == "both"), action)(*([value] if value else []))
        ids = [id for id in every if wanted(id)]
        tab.wait_for_function("n => document.querySelector('.count').textContent.startsWith(n + ' of')", arg=len(ids))
        assert shown_ids(tab) == ids, actions
        again = visit(page, tab.url.partition("#")[2]) if "Compare" in actions[0][1] else tab
        assert shown_ids(again) == shown_ids(tab)  # the address holds it
        tab.get_by_role("button", name="Clear filters").click()
    assert shown_ids(tab) == every
    go(tab, view="examples", pairs="", sort="iou")
    assert shown_ids(tab) == sorted(every, key=lambda id: round(iou(id), 4))
    go(tab, view="examples", pairs="", sort="difference", than="row:oracle")
    gaps = [abs(iou(id, "oracle") - iou(id)) for id in shown_ids(tab)]
    assert np.all(np.diff(gaps) <= 2e-4) and gaps[0] > 0.1
    go(tab, view="examples", pairs="", sort="regret")
    best = [iou(id, "oracle") - iou(id) for id in shown_ids(tab) if not absent(id)]  # the oracle has the best one
    assert np.all(np.diff(best) < 1e-3) and best[0] > 0.1
    go(tab, view="examples", kind="open", sort="iou_down", pairs="")
    values = [iou(id, kind="open") for id in shown_ids(tab)]
    assert np.all(np.diff(values) <= 1e-4)
    go(tab, view="examples", quadrant="both")
    tab.wait_for_selector(".thumb canvas")
    members = [group.locator(".card").count() for group in tab.locator(".cards li").all()]
    assert set(members) == {2}  # the other of a pair stands beside
    shoot(tab, "examples")


def test_words_show_the_attention_of_the_records(page: Path, data: RunData, visit: Visit, shoot: Shoot) -> None:
    item = data.examples[1]
    generation = data.generation(item, "ground")
    assert generation is not None and generation.attention is not None
    tab = visit(page, address(view="example", example=item.id, plain="1"))
    words = tab.locator(".word")
    assert words.all_text_contents() == re.findall(r"\w+|\S", generation.text)
    start = 0
    # a step is a 31st of the largest difference from the mean row
    step = np.abs(generation.attention - generation.attention.mean(axis=0)).max() / 31
    for number in range(words.count()):
        words.nth(number).hover()
        text = words.nth(number).text_content()
        start = generation.text.index(text, start)
        tokens = tokens_of((start, start + len(text)), generation.spans)
        values = np.array(tab.evaluate("[...pixfound.stages[0].attended.values]"))
        np.testing.assert_allclose(values, generation.attention[tokens].mean(axis=0), atol=step)
        (share,) = re.findall(r", ([\d.]+) % of the attention was", tab.locator(".caption").text_content())
        assert float(share) == pytest.approx(100 * generation.attention[tokens].mean(axis=0).sum(), abs=0.06)
        start += len(text)
    shoot(tab, "word")
    assert words.first.evaluate("one => getComputedStyle(one).userSelect") == "text"  # else Firefox copies no answer
    words.nth(2).click()  # it stays, and is in the address
    tab.mouse.move(0, 0)
    again = visit(page, tab.url.partition("#")[2])
    assert again.locator(".word[aria-pressed=true]").text_content() == words.nth(2).text_content()
    assert "at=" in again.url
    go(tab, view="example", example=item.id, kind="choice")
    assert tab.locator(".word").all_text_contents() == [data.answer(item, "choice").text]  # type: ignore[union-attr]


def test_every_layer_is_what_the_records_say(page: Path, data: RunData, visit: Visit, shoot: Shoot) -> None:
    item = next(i for i in data.examples if i.example.gt_mask.area and data.chosen(i, "ground", "similarity"))
    chosen, shown = data.chosen(item, "ground", "similarity"), data.mask(item, "ground", "similarity")
    candidates, heat = data.candidates(item, "ground", "attention"), data.attention(item, "ground", "similarity")
    assert chosen and chosen.point and shown and candidates and heat is not None
    tab = visit(page, address(view="example", example=item.id, layers="", blend="1"))
    assert not sampled(tab).any()

    def layer(label: str, **state: str) -> npt.NDArray[Any]:
        tab.get_by_label(label, exact=True).check()
        tab.wait_for_timeout(150)
        found = sampled(tab)
        tab.get_by_label(label, exact=True).uncheck()
        return found

    assert ((layer("ground truth") > 0) == item.example.gt_mask.decode()).all()
    assert ((layer("each instance") > 0) == item.example.gt_mask.decode()).all()
    ignored = layer("ignored pixels") > 0
    assert ignored[:4].all() and not ignored[4:].any()
    ((x0, y0, x1, y1),) = item.example.boxes
    box = np.argwhere(layer("annotated boxes") > 0)  # the line lies half inside and half outside
    np.testing.assert_allclose([*box.min(axis=0), *box.max(axis=0)], [y0, x0, y1, x1], atol=1.1)
    assert ((layer("choice of the row") > 0) == shown.decode()).all()
    every = np.any([candidate.mask.decode() for candidate in candidates], axis=0)
    assert ((layer("all candidates") > 0) == every).all()
    assert not layer("native masks").any()  # this model draws none
    np.testing.assert_allclose((layer("attention") / 255) ** 2, np.clip(heat / heat.max(), 0, 1), atol=0.06)
    marked = layer("points and boxes") > 0
    x, y = (int(value) for value in chosen.point)
    near = marked[max(0, y - 6) : y + 7, max(0, x - 6) : x + 7]
    assert near.any() and marked.sum() < marked.size / 20
    grid = tab.evaluate(  # the lines lie between the 8 x 8 cells of 64 pixels of the canvas
        """async () => { document.querySelector("[name=tiles]").click(); await new Promise(r => setTimeout(r, 200));
        const c = document.querySelector(".stage canvas");
        return [...c.getContext("2d").getImageData(0, 32, c.width, 1).data].filter((_, i) => i % 4 === 3) }"""
    )
    assert {round(i / 64) for i in np.flatnonzero(grid)} == set(range(9)) and np.count_nonzero(grid) < 30
    tab.locator(".rows button", has_text="full").hover()  # a row that is pointed at shows its mask
    assert (sampled(tab) > 0).all()
    go(tab, view="example", example=item.id)
    shoot(tab, "example")


def test_keys_go_through_examples_kinds_rows_and_layers(page: Path, data: RunData, visit: Visit, shoot: Shoot) -> None:
    first, second = data.examples[0], data.examples[1]
    tab = visit(page, address(view="example", example=first.id))
    press = tab.keyboard.press
    press("ArrowRight")
    tab.wait_for_selector(f".steps h2:has-text('{second.id}')")
    press("ArrowLeft")
    tab.wait_for_selector(f".steps h2:has-text('{first.id}')")
    press("1")
    tab.wait_for_selector(".kinds [aria-pressed=true]:has-text('open')")
    press("r")
    tab.wait_for_selector(".rows tr.current:has-text('first')")
    press("t")
    tab.wait_for_selector("[name=truth]:not(:checked)")
    tab.locator("[name=tiles]").focus()
    press("Space")
    assert tab.evaluate("[document.activeElement.name, document.activeElement.checked]") == ["tiles", True]
    tab.locator(".rows button", has_text="best_score").focus()
    press("Enter")
    tab.wait_for_selector(".rows tr.current:has-text('best_score')")
    tab.wait_for_function("document.activeElement.textContent === 'best_score'")  # though it is another button now
    press("b")
    tab.wait_for_selector(".columns.two")
    assert tab.locator(".column").count() == 2
    shoot(tab, "pair")
    press("?")
    tab.wait_for_selector("dialog[open]")
    press("Escape")
    tab.wait_for_selector("dialog", state="hidden")
    press("Escape")
    tab.wait_for_selector(".card")
    middle = tab.locator(f".card:has-text('{first.id}')").bounding_box()  # where one was
    assert middle and 0 < middle["y"] < 900
    assert tab.evaluate("document.activeElement.textContent").startswith(first.id)
    press("Enter")  # opens it again
    tab.wait_for_selector(f".steps h2:has-text('{first.id}')")
    assert tab.evaluate("document.activeElement.id") == "main"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none"
    press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "↑ all"  # the first of the view


def test_two_runs_of_one_example_side_by_side(
    compared: Path, data: RunData, visit: Visit, shoot: Shoot, outputs: Path
) -> None:
    tab = visit(compared, address(view="overview"))
    titles = tab.locator("#choose-run option").all_text_contents()
    assert titles[1].startswith("tiny (embedded:tiny_llava) on pixshapes, attend_segment, limit=16, scoring.resamples")
    assert titles[1].endswith(", seed=1, and 2 more") and titles[0] == titles[1].removesuffix(", seed=1, and 2 more")
    assert tab.locator("main tbody tr").count() == 2 * (1 + len(data.parts.rows))
    legend = tab.locator("div:has(> figure) .legend").first.locator("li").all_text_contents()
    assert legend == titles
    shoot(tab, "two_runs")
    item = data.examples[0]
    go(tab, view="example", example=item.id, beside="1")
    tab.wait_for_selector(".column:nth-child(2) .stage img")
    pictures = tab.locator(".stage img").evaluate_all("all => all.map(one => one.src)")
    assert pictures[0] == pictures[1]  # both runs have the same file
    shoot(tab, "beside")
    go(tab, view="example", example=item.id, run="1", part="2", plain="1")
    tab.wait_for_selector("[name=part]")
    (other,) = (f.parent for f in outputs.glob("runs/*/*/*/*/config.yaml") if "keep: layers" in f.read_text())
    second = RunData.open(other)
    generation = second.generation(item, "ground")
    assert generation is not None and generation.kept is not None
    tab.get_by_role("button", name="the whole answer").hover()
    values = np.array(tab.evaluate("[...pixfound.stages[0].attended.values]"))
    rows = generation.kept.rows[2, 0, 1:]
    step = np.abs(rows - rows.mean(axis=0)).max() / 31
    np.testing.assert_allclose(values, rows[1:].mean(axis=0), atol=step)  # the last token has no row of its own
    pointed = next(one for one in second.examples if second.chosen(one, "ground", "similarity"))
    heat = second.attention(pointed, "ground", "similarity")
    assert heat is not None
    tab.mouse.move(0, 0)
    go(tab, view="example", example=pointed.id, run="1", layers="attention", blend="1")
    tab.wait_for_selector(f".steps h2:has-text('{pointed.id}')")
    np.testing.assert_allclose((sampled(tab) / 255) ** 2, np.clip(heat / heat.max(), 0, 1), atol=0.06)
    go(tab, view="examples", than="run:1", disagree="1", row="random")
    ids = [one.id for one in data.examples if _disagree(data, second, one.index)]
    assert shown_ids(tab) == ids


def _disagree(one: RunData, other: RunData, index: int) -> bool:
    """Whether the row `random` is grounded, under its better prompt, in one run only; all is answered alike."""
    grounded = []
    for run in (one, other):
        iou = {kind: run.scores.masks("random", kind)["iou"] for kind in ("open", "ground")}  # type: ignore[arg-type]
        better = "open" if iou["open"].mean() > iou["ground"].mean() else "ground"
        grounded.append(iou[better][index] > 0.5)
    return bool(grounded[0] != grounded[1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Path, data: RunData, visit: Visit, shoot: Shoot, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = visit(page, address(theme=theme))
    item = next(i for i in data.examples if data.chosen(i, "ground", "similarity"))
    one = {"view": "example", "example": item.id}
    for state in ({"view": "overview"}, {"view": "examples"}, {**one, "beside": "pair"}, one):
        go(tab, theme=theme, **state)
        found = axe.run(tab, options={"preload": False}).response["violations"]  # it would fetch the style sheet
        worst = [v for v in found if v["impact"] in ("serious", "critical", "moderate")]
        assert not worst, json.dumps(worst, indent=1)[:3000]
        if theme == "dark":
            shoot(tab, f"dark_{state['view']}")


class Long(Talker):
    """Says SAID, right-to-left marks, and 100,000 characters more."""

    def __init__(self) -> None:
        super().__init__(f"{SAID} \u202eback\u2066 a cat {'na ' * 300}{'x' * 100_000}", "embedded:tiny_llava")

    def provenance(self) -> dict[str, Any]:
        return {}


def test_what_models_and_data_say_is_text(tmp_path: Path, visit: Visit, shoot: Shoot) -> None:
    over = [*write_benchmark(tmp_path / "data"), f"outputs_dir={tmp_path / 'out'}", "scoring.resamples=100"]
    over += ["~model", "+model={_target_:tests.report.page.test_page.Long}", 'names.model="<b>m"', "max_failures=90"]
    folder = evaluate(config_of(*over, "report.pictures=0", "extraction=native")).folder / "page"
    tab = visit(folder)
    shoot(tab, "hostile_overview")
    overview = tab.locator("#main").text_content()
    assert "cannot be read" in tab.locator("section", has_text="Failures").last.text_content() or "OSError" in overview
    go(tab, view="examples")
    assert len(shown_ids(tab)) == len(IDS)
    shoot(tab, "hostile_examples")
    for kind in ("open", "ground"):
        for id in ("lost\x1b[31m/open", "../../up", "two\nlines\x1b[2J", "nul\0"):
            tab.evaluate("id => { change({view: 'example', example: id}) }", id)
            tab.wait_for_selector(".column")
            if id.startswith("lost"):
                assert tab.locator(".missing").count() == 1
                continue
            go(tab, view="example", example=id, kind=kind, layers="native", blend="1")
            left = sampled(tab) > 0
            assert left[:, :12].all() and not left[:, 12:].any()  # the mask that the model draws
            answer = tab.evaluate("document.querySelector('.answer').textContent.length")
            assert answer == len(Long().text.encode("utf-16-le", "surrogatepass")) // 2
    words = tab.locator(".word").all_text_contents()
    assert "<script>alert(1)</script>" in "".join(words) and 300 < len(words) < 600
    tab.locator(".word").nth(40).hover()
    assert tab.evaluate("pixfound.stages[0].attended.values.length") == 16
    assert tab.locator("main :is(script, b, iframe, a[href*=tracker], img[src*=tracker])").count() == 0
    assert tab.evaluate("getComputedStyle(document.querySelector('.answer')).unicodeBidi") == "isolate"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1300
    shoot(tab, "hostile_example")
    body = (folder / "index.html").read_text()
    assert "default-src 'none'" in body and "unsafe" not in body


@pytest.mark.parametrize(
    ("left_out", "prompts", "terms"),
    [
        (("question", "answer"), ["ground"], ["Refers to"]),
        (("region", "expression"), ["open"], ["Question", "Accepted"]),
    ],
    ids=["regions alone", "questions alone"],
)
def test_what_a_benchmark_does_not_ask_is_not_shown(
    left_out: Sequence[str], prompts: list[str], terms: list[str], tmp_path: Path, visit: Visit
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    rows = [
        ["id", "image", "question", "answer", "expression", "region"],
        ["a", "a.png", "Red?", "yes", "it", "[0,0,9,9]"],
    ]
    (tmp_path / "t.tsv").write_text("\n".join("\t".join(row) for row in rows))
    columns = ["id=id", "options=null", "answer.form=text", *(f"{name}=null" for name in left_out)]
    over = [f"benchmark.rows={tmp_path / 't.tsv'}", f"benchmark.images={tmp_path}", "scoring.resamples=100"]
    over += ["benchmark=paired_table", "extraction=nulls", f"outputs_dir={tmp_path}", "report.pictures=0"]
    folder = evaluate(config_of(*over, *(f"benchmark.columns.{column}" for column in columns))).folder / "page"
    tab = visit(folder)
    tab.wait_for_selector(".column")  # the only example
    assert tab.locator(".kinds button").evaluate_all("all => all.map(one => one.firstChild.data)") == prompts
    assert tab.locator("#choose-kind option").all_text_contents() == prompts
    assert tab.locator("dl dt").all_text_contents() == terms
    assert (tab.locator(".rows").count() == 1) == (prompts == ["ground"])
    go(tab, view="overview")
    assert tab.locator("figure").count() == (prompts == ["ground"])  # the spread of the IoU
    assert tab.locator(".overview > .note").first.text_content() == "1 example."
    assert ("no mask was scored" in tab.locator(".summary").text_content()) == (prompts == ["open"])


@pytest.mark.parametrize("width", [320, 390])
def test_a_telephone_shows_all_of_it(page: Path, data: RunData, visit: Visit, shoot: Shoot, width: int) -> None:
    tab = visit(page, viewport={"width": width, "height": 800}, device_scale_factor=2, has_touch=True)
    for state in ({"view": "overview"}, {"view": "examples"}, {"view": "example", "example": data.examples[0].id}):
        go(tab, **state)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, state
        shoot(tab, f"phone_{width}_{state['view']}")
    for place in (0, -1):  # the picture is in sight while a word is tapped
        word = tab.locator(".word").nth(place)
        word.tap()
        pressed = "place => [...document.querySelectorAll('.word')].at(place).getAttribute('aria-pressed') === 'true'"
        tab.wait_for_function(pressed, arg=place)  # the view is made anew
        picture, said = tab.locator(".stage").bounding_box(), word.bounding_box()
        assert picture and said and picture["y"] >= 0 and picture["y"] + picture["height"] < said["y"] < 800
        shoot(tab, f"phone_{width}_word")
    go(tab, view="examples")
    tab.wait_for_selector(".line .badge")
    cut = "all => all.filter(one => one.parentElement.scrollWidth > one.parentElement.clientWidth).length"
    assert tab.locator(".card .badge").evaluate_all(cut) == 0


def test_it_prints_dark_on_white_and_whole(page: Path, visit: Visit) -> None:
    tab = visit(page, address(theme="dark"))
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": 720, "height": 1000})  # A4 with margins
    text = "getComputedStyle(document.body).color"
    assert tab.evaluate(text) == "rgb(21, 24, 30)"
    assert tab.locator(".scroll").first.evaluate("one => one.scrollWidth <= one.clientWidth")
    for bar in tab.locator("td svg").all():  # drawn smaller, and not cut
        track, whole = bar.locator(".track").bounding_box(), bar.bounding_box()
        assert track and whole and track["width"] == pytest.approx(whole["width"], abs=0.5)
    assert not tab.locator("#head button").first.is_visible()


def test_the_server_is_for_this_machine_alone(page: Path) -> None:
    with server_of(page, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs.js") as answer:
            assert answer.read() == (page / "data" / "runs.js").read_bytes()
        evil = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"evil.example:{port}"})
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(evil)
        server.shutdown()


def test_a_folder_of_other_things_is_not_deleted(
    finished: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SystemExit, match="2"):
        view([str(finished.folder), "--folder", str(tmp_path)])
    assert "is there and is no page; give a new folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").exists()


def test_a_run_without_its_page_gets_it_again(finished: Result, outputs: Path) -> None:
    index = finished.folder / "page" / "index.html"
    before = (finished.folder / "scores.jsonl").read_bytes()
    index.unlink()
    assert not evaluate(config_of(*OPTIONS, f"outputs_dir={outputs}")).was_complete
    assert index.exists() and (finished.folder / "scores.jsonl").read_bytes() == before
    assert evaluate(config_of(*OPTIONS, f"outputs_dir={outputs}")).was_complete
