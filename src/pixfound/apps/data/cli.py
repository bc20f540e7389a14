"""The command `pixfound-data`: prepare benchmarks on disk, verify the prepared ones, check any benchmark.

    pixfound-data prepare pixmmvp --root data/PixMMVP
    pixfound-data verify pixmmvp --root data/PixMMVP
    pixfound-data paper --root data
    pixfound-data check benchmark=gseval benchmark.root=data/GSEval --page sheet.html

The exit code is 0 on success, 2 for a user error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixfound.errors import UserError, nearest
from pixfound.io.terminal import complain, prepare, say

if TYPE_CHECKING:
    from pixfound.apps.data.manifest import Manifest

_NAMES = ("pixmmvp", "pixcvbench")
_PRECOMPUTED = ("omg_llava", "llava_grounding")  # read from files by experiments/paper
_EPILOG = (
    "HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are read from the environment. Exit code 2: there is something to do."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_args(arguments)
    try:
        commands = {"verify": _verify, "prepare": _prepare, "check": _check, "paper": _paper}
        sys.exit(commands[options.command](options))
    except UserError as error:
        complain("pixfound-data", error)
    except KeyboardInterrupt:
        complain("pixfound-data", "interrupted; what is fetched is kept, run the same command to go on")
    sys.exit(2)


def _quiet_hub() -> None:
    """Keep the hub's client from writing to a log; read when huggingface_hub is imported."""
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def _paper(options: argparse.Namespace) -> int:
    """Prepare all that experiment=paper_* reads; a data set that fails is named with its problems, the next follows."""
    _quiet_hub()
    from pixfound.apps.data.datasets import DATASETS
    from pixfound.apps.data.prepare import prepare

    ready = []
    for name, dataset in DATASETS.items():
        try:
            prepared = prepare(dataset, options.root / name, options.copies)
        except UserError as error:
            say(f"{name}: not ready")
            for line in str(error).splitlines():
                say(f"  {line.strip()}")
            continue
        ready.append(name)
        say(f"{name}: {len(prepared.manifest.files)} files in {options.root / name}")
        for note in prepared.notes:
            say(f"  {note}")
    for model in _PRECOMPUTED:
        for name in DATASETS:
            folder = options.root / "predictions" / model / name
            state = "given" if folder.is_dir() else "not given; its cell fails without them, and the others run"
            say(f"predictions of {model} on {name}, {folder}: {state}")
    say(f"{len(ready)} of {len(DATASETS)} data sets are ready; next: pixfound -m experiment=paper_pixmmvp dry_run=true")
    return 0 if len(ready) == len(DATASETS) else 2


def _prepare(options: argparse.Namespace) -> int:
    _quiet_hub()
    from pixfound.apps.data.datasets import DATASETS
    from pixfound.apps.data.prepare import prepare
    from pixfound.apps.data.prepare_preset import prepare_preset, presets

    name, revisions = options.dataset, dict(_revision(text) for text in options.revision)
    if name in DATASETS:
        prepared = prepare(DATASETS[name], options.root, options.copies, revisions, options.allow_changed)
    else:
        downloads = presets()
        if name not in downloads:
            raise UserError(f"{name}: there is no such benchmark to prepare; {nearest(name, [*DATASETS, *downloads])}")
        if options.copies:
            raise UserError(f"--from: is of {' and '.join(DATASETS)}; put the files of {name} into {options.root}")
        source = downloads[name]
        print(f"{name}: {source['size']}; licence: {source['licence']}")
        prepared = prepare_preset(name, source, options.root, revisions.get(str(source.get("hub"))))
    if prepared.was_complete:
        print(f"nothing to do: {options.root} holds {name}, {len(prepared.manifest.files)} files, all as prepared")
        return 0
    origins = ", ".join(f"{count} from {source}" for source, count in prepared.sources.items())
    print(f"{name} is ready in {options.root}: {len(prepared.manifest.files)} files ({origins})")
    for repo, commit in prepared.manifest.commits.items():
        print(f"  {repo} at {commit}")
    for note in prepared.notes:
        print(f"  {note}")
    print(f"next: pixfound benchmark={name} benchmark.root={options.root}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pixfound.apps.data.checks import check_folder, lines
    from pixfound.apps.data.datasets import DATASETS
    from pixfound.apps.data.manifest import read_manifest

    name, root = options.dataset, options.root.expanduser()
    manifest = read_manifest(root, name)
    if name not in DATASETS:
        return _verify_preset(name, root, manifest)
    dataset = DATASETS[name]
    problems = check_folder(dataset, root, manifest)
    for line in lines(problems, root):
        say(line)
    if problems:
        print(f"{len(problems)} problems; `pixfound-data prepare {dataset.name} --root {root}` fixes what it can")
        return 2
    listed = [(file.sha256, manifest.files.get(file.path)) for file in dataset.annotations if file.sha256]
    differ = sum(entry is not None and entry.sha256 != sha256 for sha256, entry in listed)
    if differ:
        print(f"{differ} annotation {'file is' if differ == 1 else 'files are'} not as released (--allow-changed)")
    state = "as prepared" if manifest.files else "readable (no list of checksums: `prepare` writes one)"
    print(f"{root} holds {dataset.name}: {dataset.count} examples, every picture {state}")
    return 0


def _verify_preset(name: str, root: Path, manifest: Manifest) -> int:
    from pixfound.apps.data.checks import check_manifest, lines
    from pixfound.apps.data.prepare_preset import presets

    if not manifest.files:
        if name not in (known := presets()):
            raise UserError(f"{name}: there is no such benchmark; {nearest(name, [*_NAMES, *known])}")
        raise UserError(
            f"{root}: has no list of checksums, which `pixfound-data prepare {name}` writes; "
            f"`pixfound-data check benchmark={name} benchmark.root={root}` reads what is there"
        )
    problems = check_manifest(root, manifest)
    for line in lines(problems, root):
        say(line)
    if problems:
        print(f"{len(problems)} problems; `pixfound-data prepare {name} --root {root}` fetches {name} again")
        return 2
    print(f"{root} holds {name}: {len(manifest.files)} files, all as prepared")
    return 0


def _check(options: argparse.Namespace) -> int:
    from pixfound.apps.data.check_benchmark import check_benchmark

    checked = check_benchmark(options.overrides)
    for problem in checked.problems:
        say(problem)
    if options.page:
        from pixfound.apps.data.contact_sheet import write_sheet

        title = f"{checked.name}: {len(checked.benchmark)} examples, {len(checked.problems)} problems"
        write_sheet(options.page, title, checked.benchmark, checked.problems, options.count)
        say(f"page: {options.page}")
    counts = f"{len(checked.benchmark)} examples, {checked.images} pictures"
    say(f"{checked.name}: {counts}, {len(checked.problems) or 'no'} problems")
    return 2 if checked.problems else 0


def _revision(text: str) -> tuple[str, str]:
    repo, separator, revision = text.partition("=")
    if not (repo and separator and revision):
        raise UserError(f"--revision {text}: give it as DATASET=REVISION, as in MMVP/MMVP=main")
    return repo, revision


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-data", description="Prepare, verify and check benchmarks.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("prepare", help="bring a benchmark into its layout", epilog=_EPILOG)
    check = commands.add_parser("verify", help="check counts, sizes, checksums and pictures", epilog=_EPILOG)
    every = commands.add_parser("check", help="read all of any benchmark and say what is wrong with it")
    every.add_argument(
        "overrides", nargs="+", metavar="KEY=VALUE", help="as of pixfound: benchmark=gseval benchmark.root=DIR"
    )
    every.add_argument("--page", type=Path, metavar="FILE.html", help="write examples with their regions drawn")
    every.add_argument("--count", type=int, default=60, help="examples on the page (60)")
    paper = commands.add_parser("paper", help="prepare all that experiment=paper_pixmmvp and paper_pixcvbench read")
    paper.add_argument("--root", type=Path, default=Path("data"), help="folder of all of it (data)")
    make.add_argument("dataset", help=f"{', '.join(_NAMES)}, or a preset such as gseval")
    check.add_argument("dataset", help=f"{', '.join(_NAMES)}, or a preset such as gseval")
    for command in (make, check):
        command.add_argument("--root", type=Path, required=True, help="the benchmark's folder (benchmark.root)")
    for command in (make, paper):
        command.add_argument(
            "--from",
            dest="copies",
            type=Path,
            nargs="+",
            default=[],
            metavar="DIR",
            help="folders of copies, searched by file name before the Hub is asked",
        )
    make.add_argument(
        "--revision",
        action="append",
        default=[],
        metavar="DATASET=REVISION",
        help="take a dataset on the Hub at a branch, tag or commit",
    )
    make.add_argument(
        "--allow-changed",
        action="store_true",
        help="take annotations that differ from the released ones; their checksums are noted",
    )
    return parser


if __name__ == "__main__":
    main()
