"""The scaffold of RetrainComponent: looks at a source and writes a folder with a contract that runs at once."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import dagster as dg

from retrain_assets.components.scaffolding.params import RetrainParams
from retrain_assets.contract import RetrainError

if TYPE_CHECKING:
    from retrain_assets.components.scaffolding.contract_text import Draft, People
    from retrain_assets.components.scaffolding.facts import Facts

FILES = ("defs.yaml", "features.py", "schema.py")
SIGNERS = "allowed_signers"
VOUCHED = "known before the prediction, by the word of who made this; the calendar is"


class RetrainScaffolder(dg.Scaffolder[RetrainParams]):
    """Writes ``defs.yaml``, ``features.py`` and ``schema.py`` for a Parquet or Delta source, and never over anything."""

    @classmethod
    def get_scaffold_params(cls) -> type[RetrainParams]:
        """The options."""
        return RetrainParams

    def scaffold(self, request: dg.ScaffoldRequest[RetrainParams]) -> None:
        """Write the folder.

        Raises:
            click.ClickException: in one line, with nothing written, when something has to be said first.
        """
        try:
            _write(request)
        except RetrainError as error:
            with suppress(OSError):
                request.target_path.rmdir()  # dg makes the folder before it asks; one with files in it stays
            raise click.ClickException(error.line) from error


def _write(request: dg.ScaffoldRequest[RetrainParams]) -> None:
    from retrain_assets.components.scaffolding.code_text import features_text, schema_text
    from retrain_assets.components.scaffolding.contract_text import contract_text
    from retrain_assets.components.scaffolding.trial import cutoff_after, tried

    folder, params = request.target_path, request.params
    _refuse_elsewhere(request)
    signers = _signers(params)
    draft = _draft(request, signers is not None)
    newest = draft.facts.span(draft.roles.event_time)[1]
    cutoff = cutoff_after(newest)
    trial = tried(draft, cutoff)
    draft = trial.draft
    texts = {
        "defs.yaml": contract_text(draft),
        "features.py": features_text(draft.model, draft.facts, draft.roles, draft.columns),
        "schema.py": schema_text(draft.model, draft.facts, draft.roles, draft.limits),
        **({SIGNERS: f"{draft.people.approver} {signers}\n"} if signers is not None else {}),
    }
    for name, text in texts.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    (folder / "__init__.py").touch()
    _tell(draft, trial.changes, trial.refused)
    click.echo(f"\nWrote {', '.join(texts)} in {folder}. Read them, then:")
    click.echo("  dg check defs")
    click.echo(f"  retrain plan {draft.model}")
    as_whom = draft.people.owner if "@" in draft.people.owner else "you@example.org"
    click.echo(f'  retrain launch {draft.model} {cutoff:%Y-%m-%d} --as {as_whom} --reason "first champion"')


def _refuse_elsewhere(request: dg.ScaffoldRequest[RetrainParams]) -> None:
    if request.scaffold_format != "yaml":
        raise RetrainError("a contract is YAML", where="--format", remedy="leave it out")
    if there := [name for name in (*FILES, SIGNERS) if (request.target_path / name).exists()]:
        remedy = "give another folder, or remove it first"
        raise RetrainError(f"{', '.join(there)} exists and is not written over", where=str(request.target_path), remedy=remedy)


def _draft(request: dg.ScaffoldRequest[RetrainParams], signed: bool) -> Draft:
    from retrain_assets.components.scaffolding.code_text import calendar_of
    from retrain_assets.components.scaffolding.contract_text import Draft
    from retrain_assets.components.scaffolding.facts import read_facts
    from retrain_assets.components.scaffolding.limits import find_limits
    from retrain_assets.components.scaffolding.roles import find_roles
    from retrain_assets.components.scaffolding.suspects import sort_columns

    params = request.params
    if params.source is None:
        remedy = "give --source FILE.parquet --label COLUMN; --help has the other options"
        raise RetrainError("it is not known where the rows are", remedy=remedy)
    model = _model(params.model or request.target_path.name)
    people = _people(params, signed)
    facts = read_facts(params.source, (request.project_root or Path.cwd()).absolute())
    click.echo(f"{facts.uri}: {facts.rows:,} rows, {len(facts.columns)} columns")
    roles = find_roles(facts, params, _said)
    known = _known(params, facts)
    columns = sort_columns(facts, roles, known)
    if not columns.features:
        raise RetrainError("no column is left to predict from", where=f"--source {facts.uri}", remedy="add columns to the source")
    limits = find_limits(facts, roles, columns)
    if vouched := [*(name for name in columns.features if name in known), *calendar_of(facts, roles)]:
        limits.data["vetted_features"] = (json.dumps(vouched), VOUCHED)
    purpose = params.purpose or f"Predict {roles.label}; say here in one sentence what for"
    return Draft(model, purpose, facts, roles, columns, limits, people, _key(facts, roles.unit, roles.event_time))


def _known(params: RetrainParams, facts: Facts) -> tuple[str, ...]:
    """The columns that somebody vouches for."""
    from retrain_assets.components.scaffolding.roles import require_column

    names = tuple(name.strip() for name in (params.known or "").split(",") if name.strip())
    for name in names:
        require_column(facts, "known", name)
    return names


def _model(name: str) -> str:
    model = re.sub(r"\W+", "_", name.lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,62}", model):
        raise RetrainError(
            f"{name!r} is no name of a model",
            where="--model",
            remedy="write small letters, digits and underscores, such as churn",
        )
    if model != name:
        _said(f"model: {model}, as a name has small letters, digits and underscores")
    return model


def _people(params: RetrainParams, signed: bool) -> People:
    from retrain_assets.components.scaffolding.contract_text import People

    mail = _mail_of_git() if params.owner is None or params.approver is None else None
    owner = params.owner or mail
    if owner is None:
        raise RetrainError("nobody is named who answers for the model", remedy="give --owner team:NAME or you@example.org")
    if not re.fullmatch(r"team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+", owner):
        raise RetrainError(f"{owner!r} names nobody", where="--owner", remedy="write team:NAME or an e-mail address")
    approver = params.approver or (owner if "@" in owner else mail)
    if approver is None or "@" not in approver:
        raise RetrainError("nobody is named who approves", remedy="give --approver you@example.org")
    if params.owner is None:
        _said(f"owner: {owner}, from git")
    if params.approver is None:
        _said(f"approver: {approver}, until somebody else is named")
    return People(owner, approver, SIGNERS if signed else None)


def _mail_of_git() -> str | None:
    try:
        done = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    mail = done.stdout.strip()
    return mail if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", mail) else None


def _signers(params: RetrainParams) -> str | None:
    """Type and body of the approver's public key; None where no key was given."""
    from retrain_assets.contract.signers import allowed_signers

    if params.approver_key is None:
        return None
    path = Path(params.approver_key).expanduser()
    where = f"--approver-key {params.approver_key}"
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        remedy = "make a key with ssh-keygen -t ed25519 and give its file .pub"
        raise RetrainError("there is no readable key", where=where, remedy=remedy) from error
    if words[:1] == ["-----BEGIN"]:
        raise RetrainError("is a private key, which stays with its owner", where=where, remedy=f"give {path}.pub")
    key = " ".join(words[:2])
    try:
        allowed_signers(f"somebody@example.org {key}")
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        raise RetrainError(f"is no public SSH key ({what})", where=where, remedy=remedy or "give the file .pub") from error
    return key


def _key(facts: Facts, unit: str, event_time: str) -> tuple[str, ...]:
    """Columns that make a row unique where unit and event time do not; nothing where nothing single does."""
    import polars as pl

    def is_unique(*names: str) -> bool:
        return int(facts.lazy.select(pl.struct(names).n_unique()).collect().item()) == facts.rows

    if is_unique(unit, event_time):
        return ()
    for name, column in facts.columns.items():
        if name not in (unit, event_time) and (column.is_text or column.dtype.is_integer()) and is_unique(unit, event_time, name):
            return (name,)
    return ()


def _tell(draft: Draft, changes: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """What was taken for a feature and what was not, what the trial changed, and what it could not mend."""
    from retrain_assets.components.scaffolding.suspects import VOUCHABLE

    _said(f"features: {', '.join(draft.columns.features)}")
    for name, (why, said) in draft.columns.left_out.items():
        _said(f"left out: {name} {why.value} ({said})")
    if late := [name for name, (why, _) in draft.columns.left_out.items() if why in VOUCHABLE]:
        _said(f"if you know that one of them is there before the prediction: --known {','.join(late)}")
    for change in changes:
        _said(f"allowed for: {change}")
    if refused:
        click.echo("Gate data would stop a retrain on the newest rows:")
    for fault in refused:
        click.echo(f"  ! {fault}")
    if not refused:
        _said("gate data would let the newest rows pass")


def _said(what: str) -> None:
    click.echo(f"  {what}")
