"""The command `pixfound`: a Hydra application whose errors are single lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pixfound import __version__
from pixfound.apps.grid import close_grid, grid_is_open, in_cell
from pixfound.errors import UserError, nearest, outside_cause
from pixfound.io.terminal import complain, prepare

if TYPE_CHECKING:
    from pixfound.pipeline.results import Result

CONFIG = "pkg://pixfound.conf"


def main() -> None:
    """Run the command line; the exit code is 0 on success, 2 for a user error."""
    guarded(_app)


def _main_config() -> str:
    """The text of config.yaml with its comments for `pixfound --help`, without Hydra's own section at its end."""
    text = (resources.files("pixfound.conf") / "config.yaml").read_text()
    return text.partition("\nhydra:\n")[0].replace("$", "$$")  # Hydra makes a string.Template of it


def guarded(app: Callable[[], Any]) -> None:
    """Run a Hydra application; a user error is printed as one line and gives exit code 2."""
    prepare()
    if "--version" in sys.argv[1:]:  # Hydra would say its own
        print(f"pixfound {__version__}")
        return
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))  # Hydra takes it first alone
    OmegaConf.register_new_resolver("pixfound.config_text", _main_config, replace=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting by itself
    complaint = ""
    try:
        app()
    except UserError as error:
        complaint = str(error)
    except KeyboardInterrupt:
        complaint = "interrupted; what is done is kept, run the same command to go on"
    except Exception as error:
        from pixfound.config.errors import explain, is_about_the_config

        if is_about_the_config(error):
            complaint = explain(error)
        elif (why := outside_cause(error)) is not None:
            complaint = why
        elif grid_is_open():
            complaint = f"the grid was broken off, {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        else:
            raise
    finally:
        try:
            all_done = close_grid()
        except UserError as error:
            all_done, complaint = False, complaint or str(error)
    if complaint or not all_done:
        _complain(complaint or "some cells failed, see the table; the same command tries them again")


@hydra.main(version_base="1.3", config_path=CONFIG, config_name="config")
def _app(config: DictConfig) -> float | None:
    """Run one cell, a single run or one of a grid; returns S of the row `objective` for a sweeper to maximize.

    Returns None without a score: Optuna's sweeper counts that as a failed trial and continues, while nan would end it.
    """
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        result = in_cell(lambda: (plan_of if config.dry_run else run)(resolve(config)))
    else:
        try:
            result = None if config.dry_run else run(resolve(config))
            if config.dry_run:
                _show_plan(resolve(config))
        except UserError as error:  # Hydra would name all overrides first
            _complain(str(error))
        except OmegaConfBaseException as error:
            _complain(" ".join(str(error).split()))
        except Exception as error:
            if (why := outside_cause(error)) is None:
                raise
            _complain(why)
    return score_of(result.metrics, config.objective) if result else None


def resolve(config: DictConfig) -> dict[str, Any]:
    """The config as plain values; raises an error with the key of a missing value (`???`)."""
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"{missing[0]} has no value: give it on the command line as {missing[0]}=VALUE")
    from pixfound.config.errors import check_sections

    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    sections = {str(key): value for key, value in plain.items()}
    check_sections(sections)
    return sections


def score_of(metrics: Mapping[str, Any], row: str | None) -> float | None:
    """S of a row of a run's metrics, of the first one for None; None where it has none."""
    rows = metrics.get("rows", {})
    figures = rows.get(next(iter(rows), None) if row is None else row)
    return None if figures is None or figures["S"]["value"] is None else float(figures["S"]["value"])


def plan_of(config: dict[str, Any]) -> dict[str, Any]:
    """The plan of a resolved config: see `pixfound.apps.dry_run.plan`."""
    from pixfound.apps.dry_run import plan

    return plan(config)


def _show_plan(config: dict[str, Any]) -> None:
    from pixfound.apps.dry_run import ASSUMPTION
    from pixfound.report.plan_table import show_plan

    show_plan([{"cell": "0000", "plan": plan_of(config)}], ASSUMPTION, None)


def evaluated(config: dict[str, Any]) -> Result:
    """Evaluate here, or in as many processes as `launch.num_processes` says."""
    row, rows = config["objective"], config["extraction"]["rows"]
    if row is not None and (not isinstance(row, str) or row not in rows):
        raise UserError(f"objective={row}: the table has no such row; {nearest(str(row), rows)}")
    count, nodes = config["launch"]["num_processes"], config["launch"]["num_nodes"]
    for name, value in (("num_processes", 1 if count is None else count), ("num_nodes", nodes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"launch.{name}={value}: give a whole number of at least 1")
    if (count or 1) * nodes > 1 and "WORLD_SIZE" not in os.environ:
        from pixfound.apps.launch import launch

        return launch(config, count or 1, nodes)
    from pixfound.apps.evaluation import evaluate

    return evaluate(config)


def run(config: dict[str, Any]) -> Result:
    """Evaluate and print the table; UserError where examples failed."""
    result = evaluated(config)
    if result.metrics:
        from pixfound.report.console import show

        show(result)
    if len(result.failures):
        raise UserError(
            f"{len(result.failures)} scores are missing because of failures, see {result.folder / 'report.md'}; "
            "fix the cause and run the same command: only these are tried again"
        )
    return result


def _complain(message: str) -> NoReturn:
    complain("pixfound", message)
    sys.exit(2)
