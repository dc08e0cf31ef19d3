"""``retrain contract``: a model's contract in each environment, what differs, what a change would do, and its promotion."""

from __future__ import annotations

from pathlib import Path

import click

from retrain_assets.cli.contract_preview import preview
from retrain_assets.cli.contract_promotion import promote, proof
from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.contract import Contract, ContractError, RetrainError
from retrain_assets.home import Home

environment_option = click.option(
    "--environment", metavar="NAME", help="The environment. [default: $RETRAIN_ENVIRONMENT, else the contract as it is written]"
)


@click.group("contract")
def contract() -> None:
    """The release contract of a model: in each environment, what differs, what a change would do, its promotion."""


@contract.command("show")
@model_argument
@environment_option
@json_option
def show(model: str, environment: str | None, as_json: bool) -> None:
    """The whole contract of MODEL in an environment, with its digest; what is not written has its default."""
    import yaml

    from retrain_assets.cli.contracts import contract_of

    found = contract_of(model, environment=environment)
    name = environment or Home.from_environment().environment
    if as_json:
        say_json({"model": model, "environment": name, "digest": found.digest, "contract": found.to_json()})
        return
    say(f"# {model} in {name}, {found.digest}")
    click.echo(yaml.safe_dump(found.to_json(), sort_keys=False, allow_unicode=True, width=120), nl=False)


@contract.command("diff")
@model_argument
@click.option("--from", "before", required=True, metavar="NAME|REVISION|FILE", help="An environment, a git revision or a file.")
@click.option(
    "--to", "after", metavar="NAME|REVISION|FILE", help="The same. [default: the working tree, in the environment of --from]"
)
@environment_option
@json_option
def diff(model: str, before: str, after: str | None, environment: str | None, as_json: bool) -> None:
    """What differs between two contracts of MODEL, each limit with the word for which way it goes.

    Both are an environment (staging), a git revision (main), or a contract's YAML file.
    """
    from retrain_assets.reports.contract_diff import changes_between

    old = _contract(model, before, environment)
    new = _contract(model, after, environment) if after is not None else _here(model, before, environment)
    changes = changes_between(old, new)
    if as_json:
        say_json(
            {
                "model": model,
                "from": {"name": before, "digest": old.digest},
                "to": {"name": after or "working tree", "digest": new.digest},
                "changes": [one.to_json() for one in changes],
            }
        )
        return
    if not changes:
        say(f"{model}: {before} and {after or 'the working tree'} have the same contract ({old.digest[7:19]})")
        return
    say(f"{model}: {before} ({old.digest[7:19]}) -> {after or 'the working tree'} ({new.digest[7:19]})")
    say_table(
        ["field", before, after or "working tree", ""],
        [(one.field, one.before, one.after, one.tendency) for one in changes],
        or_records=True,
    )


def _here(model: str, before: str, environment: str | None) -> Contract:
    """The contract of the working tree; with an environment before it, the one that the environment was laid over."""
    from retrain_assets.cli.contracts import contract_of

    if before in _environments(model):
        raise click.UsageError(f"--to is missing: {before} is an environment, name the other one")
    return contract_of(model, environment=environment)


def _contract(model: str, name: str, environment: str | None) -> Contract:
    """The contract that an environment, a file or a git revision has, in this order."""
    from retrain_assets.cli.contract_revisions import project_at
    from retrain_assets.cli.contracts import contract_in_file, contract_of

    if name in _environments(model):
        return contract_of(model, environment=name)
    if Path(name).is_file():
        return contract_in_file(Path(name), model, environment)
    try:
        with project_at(name) as folder:
            if folder is None:
                raise ContractError(f"there is no project at {name}", remedy="name a later revision")
            return contract_of(model, folder, environment)
    except RetrainError as error:
        if isinstance(error, ContractError):
            raise
        known = ", ".join(_environments(model)) or "none"
        raise RetrainError(
            f"{name!r} is no environment, no file and no git revision",
            where=model,
            remedy=f"environments: {known}",
        ) from error


def _environments(model: str) -> list[str]:
    from retrain_assets.cli.contracts import environments_of

    return environments_of(model)


for command in (preview, proof, promote):
    contract.add_command(command)
