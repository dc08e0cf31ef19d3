"""``retrain databricks …``: whether a workspace has what a contract needs, and the bundle that deploys its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.exits import ExitCode, tell
from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.contract import Contract, Refused, RetrainError
from retrain_assets.contract.compute import DatabricksCompute
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.compute.databricks.asset_bundle import Target
    from retrain_assets.compute.databricks.job_settings import Cloud


@click.group()
def databricks() -> None:
    """The workspace that heavy stages run on."""


@databricks.command()
@model_argument
@json_option
@click.pass_context
def check(ctx: click.Context, model: str, as_json: bool) -> None:
    """Ask the workspace for everything MODEL's contract needs of it.

    Identity, volume, table, cluster, job, secret, warehouse, registry: a line each. Exits 0 only if a retrain can rely on all.
    """
    from retrain_assets.compute.databricks.preflight import preflight
    from retrain_assets.compute.databricks.workspace import connect

    contract, settings = _settings(model)
    home = Home.from_environment()
    registry = home.registry_schema if home.registry_uri.startswith("databricks") else None
    found = list(preflight(contract, settings, connect(), home.unit_key(), registry))
    if as_json:
        say_json({"model": model, "holds": all(one.holds for one in found), "findings": [one.to_json() for one in found]})
    else:
        for one in found:
            say(f"{'ok' if one.holds else 'NOT OK':<7} {one.subject}: {one.said}")
    if wrong := [one.subject for one in found if not one.holds]:
        ctx.exit(tell(f"databricks check: {', '.join(wrong)}: see the lines above and docs/databricks.md", ExitCode.INPUT))


@databricks.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--out", default="databricks", show_default=True, type=click.Path(path_type=Path), help="Folder that is written.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME[=HOST[,CATALOG]]",
    help="An environment, with its workspace and the catalog of its volumes; the first is the default one. [default: dev]",
)
@click.option("--cloud", type=click.Choice(["aws", "azure", "gcp"]), default="aws", show_default=True, help="Of the workspaces.")
@click.option("--force", is_flag=True, help="Overwrite a databricks.yml that is there.")
def bundle(models: tuple[str, ...], out: Path, targets: tuple[str, ...], cloud: Cloud, force: bool) -> None:
    """Write an Asset Bundle that deploys the jobs of some MODELs.

    databricks.yml with jobs, housekeeping, volumes and permissions, and beside it the wheels with the code. Deploy it with the
    Databricks CLI: databricks bundle deploy --target NAME --var orchestrator=APPLICATION_ID
    """
    import yaml

    from retrain_assets.cli.contracts import project_on_path
    from retrain_assets.compute.databricks.asset_bundle import WHEELS, asset_bundle
    from retrain_assets.compute.databricks.code_wheels import code_wheels

    contracts = [_settings(model)[0] for model in dict.fromkeys(models)]
    file = out / "databricks.yml"
    if file.exists() and not force:
        raise Refused("is there already", where=str(file), remedy="add --force, or name another folder with --out")
    environments = _targets(targets or ("dev",))
    project_on_path()
    wheels = {contract.model: code_wheels(contract) for contract in contracts}
    names = {model: [wheel.name for wheel in made] for model, made in wheels.items()}
    document = asset_bundle(contracts, names, environments, cloud)
    (out / WHEELS).mkdir(parents=True, exist_ok=True)
    needed = {wheel.name: wheel.content for made in wheels.values() for wheel in made}
    for name, content in needed.items():
        (out / WHEELS / name).write_bytes(content)
    for stale in (out / WHEELS).glob("*.whl"):
        if stale.name not in needed:
            stale.unlink()
    head = "# Made by retrain databricks bundle from the contracts; make it again instead of editing it.\n"
    file.write_text(head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
    jobs, volumes = (f"{len(found)} {kind[: None if len(found) != 1 else -1]}" for kind, found in document["resources"].items())
    say(f"WROTE {file} and {len(needed)} wheels: {jobs}, {volumes}, targets {', '.join(document['targets'])}")
    say(f"Deploy: cd {out} && databricks bundle deploy --var orchestrator=APPLICATION_ID")


def _targets(written: tuple[str, ...]) -> list[Target]:
    from retrain_assets.compute.databricks.asset_bundle import Target

    found = []
    for place, one in enumerate(written):
        name, _, rest = one.partition("=")
        host, _, catalog = rest.partition(",")
        if not name.isidentifier() or (host and not host.startswith("https://")):
            raise RetrainError(
                f"{one!r} is no environment", where="--target", remedy="write production=https://WORKSPACE,CATALOG, or a name"
            )
        found.append(Target(name, host, catalog, is_default=place == 0))
    return found


def _settings(model: str) -> tuple[Contract, DatabricksCompute]:
    from retrain_assets.cli.contracts import contract_of

    contract = contract_of(model)
    if contract.databricks is None:
        raise Refused(
            f"the contract of {model} says compute: {contract.to_json()['compute']}",
            where=model,
            remedy="write compute: {databricks: …}; see docs/databricks.md",
        )
    return contract, contract.databricks
