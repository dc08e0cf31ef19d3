"""``make databricks-demo``: the flights road of 2013 with its heavy stages on an emulated Databricks workspace.

The clients are the real ones; only the workspace behind them is emulated on this machine. The replay ends with the first promoted
retrain, then prints the retrains, and the job runs, cluster starts and API calls they took.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Contract
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.home import Home
from retrain_assets.replay import story
from retrain_assets.replay.demo import contract_of_flights, play, quietly
from retrain_assets.replay.table import print_table
from retrain_assets.replay.teller import Teller
from retrain_assets_tests.workspace.workspace import Workspace

VOLUME = "/Volumes/main/retrain/flights"
LAST_DAY = date(2013, 8, 14)
SETTINGS = {
    "volume": VOLUME,
    "cluster": {"node_type": "i3.xlarge", "spot": True, "price_per_node_hour": 0.55},
    "poll": "1s",
    "start_timeout": "5m",
}


def main() -> int:
    """Play, print, and give the exit code: 0 only when a retrain was promoted after the bootstrap, in one job run each."""
    folder = Home.from_environment().root / "databricks-demo"
    shutil.rmtree(folder, ignore_errors=True)
    home = Home(folder / "home")
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "MLFLOW_", "RETRAIN_"))]:
        del os.environ[name]
    started = time.monotonic()
    with Workspace(folder / "workspace") as workspace:
        workspace.add_volume("main.retrain.flights")
        _put_sources_on_the_volume(home, workspace)
        os.environ.update(RETRAIN_HOME=str(home.root), DATABRICKS_HOST=workspace.url, DATABRICKS_TOKEN=workspace.token)
        teller = Teller()
        with quietly():
            runs = play(home, teller, LAST_DAY, contract_there())
        teller.done(time.monotonic() - started, runs)
        print_table(home, story.MODEL, teller.console)
        found = list(job_runs(home))
        print_job_runs(found, workspace, teller.console)
        once = len(found) == len({one["retrain"] for one in found}) and all(one["starts"] == 1 for one in found)
        return 0 if len(found) > 1 and once else 1


def contract_there() -> Contract:
    """The shipped contract of the flights with the stages of a retrain on Databricks."""
    values = contract_of_flights().to_json()
    return Contract.recorded({**values, "compute": {"databricks": SETTINGS}})


def job_runs(home: Home) -> Iterator[dict[str, Any]]:
    """One row for each retrain and run of the job: stages, cluster, starts, seconds and cost, from the results of the stages."""
    for folder in sorted((home.root / "stages" / story.MODEL).iterdir()):
        results = [StageResult.read(path) for stage in RETRAIN_STAGES if (path := folder / stage / "result.json").exists()]
        by_run: dict[int, list[StageResult]] = {}
        for result in results:
            if (facts := result.run.get("databricks")) is not None:
                by_run.setdefault(facts["run_id"], []).append(result)
        for run, made in by_run.items():
            facts = [one.run["databricks"] for one in made]
            costs = [fact["cost"]["amount"] for fact in facts if fact["cost"] is not None]
            yield {
                "retrain": folder.name,
                "run": run,
                "stages": ", ".join(one.stage for one in made),
                "starts": len({fact["cluster_id"] for fact in facts}),
                "setup_s": sum(fact["setup_seconds"] for fact in facts),
                "execution_s": sum(fact["execution_seconds"] for fact in facts),
                "stage_s": sum(one.run["seconds"] for one in made),
                "cost": sum(costs),
            }


def print_job_runs(rows: list[dict[str, Any]], workspace: Workspace, console: Console) -> None:
    """The table of job runs, then what the workspace was asked."""
    table = Table(
        title="Runs of the job on Databricks", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    for name in ("retrain", "run", "stages", "cluster starts", "setup", "tasks", "of it stages", "cost estimate"):
        table.add_column(name, overflow="fold")
    for row in rows:
        seconds = [f"{row[name]:.1f} s" for name in ("setup_s", "execution_s", "stage_s")]
        table.add_row(row["retrain"], str(row["run"]), row["stages"], str(row["starts"]), *seconds, f"{row['cost']:.4f} EUR")
    console.print()
    console.print(table)
    calls = Counter(_endpoint(method, path) for method, path in workspace.requests)
    table = _table("Calls of the workspace's API")
    table.add_column("call")
    table.add_column("times", justify="right")
    for call, count in calls.most_common():
        table.add_row(call, str(count))
    table.add_row("[bold]all[/bold]", str(calls.total()))
    console.print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def _endpoint(method: str, path: str) -> str:
    """A call without what it is about: files by the API alone."""
    place = path.partition("?")[0]
    files = re.match(r"(/api/2\.0/fs/(?:files|directories))", place)
    return f"{method} {files.group(1) if files else place}"


def _put_sources_on_the_volume(home: Home, workspace: Workspace) -> None:
    """The source is one folder on the volume: a job sees it there, the orchestrator below its home."""
    there = workspace.path(f"{VOLUME}/sources")
    there.mkdir(parents=True)
    home.root.mkdir(parents=True)
    (home.root / "sources").symlink_to(there)


if __name__ == "__main__":
    sys.exit(main())
