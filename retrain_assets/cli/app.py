"""The root of the ``retrain`` command: its name, its version, its sub-commands."""

from __future__ import annotations

import contextlib
import sys

import click

from retrain_assets import __version__
from retrain_assets.cli.adopt import adopt
from retrain_assets.cli.approval import approve, bootstrap, reject, withdraw
from retrain_assets.cli.audit import audit
from retrain_assets.cli.canary import canary
from retrain_assets.cli.capacity import capacity
from retrain_assets.cli.completion import completion
from retrain_assets.cli.contract import contract
from retrain_assets.cli.databricks import databricks
from retrain_assets.cli.exits import OneLineErrors
from retrain_assets.cli.export import export
from retrain_assets.cli.follow_up import follow_up
from retrain_assets.cli.freeze import freeze
from retrain_assets.cli.kill import kill
from retrain_assets.cli.launch import launch
from retrain_assets.cli.metrics import metrics
from retrain_assets.cli.override import override
from retrain_assets.cli.owner import owner
from retrain_assets.cli.plan import plan
from retrain_assets.cli.rehearse import rehearse
from retrain_assets.cli.review import review
from retrain_assets.cli.route import route
from retrain_assets.cli.serve import serve
from retrain_assets.cli.status import status
from retrain_assets.cli.toggle import toggle
from retrain_assets.cli.token import token
from retrain_assets.cli.upkeep import demo, reconcile, runbook
from retrain_assets.observability.logs import set_up_logging


@click.group("retrain", cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="retrain")
def app() -> None:
    """Model retrains as releases: look at them, act on them, verify their record.

    All state is below RETRAIN_HOME (default: .retrain in the working directory). RETRAIN_ACTOR names who acts without --as.

    Exit codes: 0 done, 1 refused by policy, 2 wrong command line, 3 bad input or missing data, 4 custody broken, 5 lost a race.
    """


app.sections = {
    "Looking": (status, canary, plan, route, audit, review, contract, metrics, capacity, runbook),
    "Acting": (launch, toggle, approve, withdraw, reject, adopt, bootstrap, kill, override, follow_up, freeze, owner),
    "Beside": (rehearse, demo, serve, token, databricks, export, reconcile, completion),
}
for section in app.sections.values():
    for command in section:
        app.add_command(command)


def main() -> None:
    """Run ``retrain`` with the process's arguments and exit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    set_up_logging()
    app(prog_name="retrain")
