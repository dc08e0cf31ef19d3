"""The contracts of a project as they stand here, and as they stood in a git revision, each in every environment."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from retrain_assets.cli.contracts import Written, valid, written_in
from retrain_assets.contract import Contract, ContractError, RetrainError, sha256_hex
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT
from retrain_assets.contract.own_code import own_function


@dataclass(frozen=True, slots=True)
class Standing:
    """One model's contract as it stands somewhere.

    Args:
        file: where it is written, relative to its project.
        environments: the contract of each environment; `default` alone where it names none.
        code: digests of the code that makes features and schema, by what it is.
    """

    file: str
    environments: Mapping[str, Contract]
    code: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standings:
    """The contracts of a project: those that hold, by model, and one line about each that does not."""

    models: Mapping[str, Standing] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


def standings(start: Path | None = None) -> Standings:
    """The contracts of the project around a folder, the working directory by default."""
    project = project_of(start or Path.cwd())
    written, unread = written_in(start)
    models: dict[str, Standing] = {}
    faults = {f"file {number}": fault.line for number, fault in enumerate(unread)}
    for one in written:
        name = str(one.model)
        try:
            if name in models:
                raise ContractError(f"model {name} has two contracts", where=str(one.file), remedy="keep one")
            models[name] = _standing(one, project)
        except ContractError as error:
            faults[name] = error.line
    return Standings({name: one for name, one in models.items() if name not in faults}, faults)


@contextmanager
def project_at(revision: str, start: Path | None = None) -> Iterator[Path | None]:
    """The project around a folder as it stood in a git revision, in a directory that goes again; None where it was not there.

    Raises:
        RetrainError: when there is no checkout, or no such revision in it.
    """
    project = project_of(start or Path.cwd())
    top = Path(_git(project, "rev-parse", "--show-toplevel").strip())
    prefix = project.resolve().relative_to(top.resolve()).as_posix()
    commit = commit_of(revision, project)
    if prefix != "." and not _git(top, "ls-tree", "-d", commit, "--", prefix):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="retrain-base-") as folder:
        archived = _run(top, "archive", "--format=tar", commit, *([] if prefix == "." else ["--", prefix]))
        with tarfile.open(fileobj=BytesIO(archived)) as archive:
            archive.extractall(folder, filter="data")
        found = Path(folder) / prefix
        yield found if (found / "pyproject.toml").is_file() else None


def fork_of(base: str, start: Path | None = None) -> str:
    """The commit at which the present one left another: what a pull request changes is counted from there.

    Raises:
        RetrainError: when the two have no commit in common here, as in a shallow clone.
    """
    project = project_of(start or Path.cwd())
    commit = commit_of(base, project)
    try:
        return _git(project, "merge-base", commit, "HEAD").strip()
    except RetrainError as error:
        raise RetrainError(
            f"{base} and HEAD have no commit in common here",
            where="--base",
            remedy="fetch the whole history, fetch-depth: 0 in CI",
        ) from error


def commit_of(revision: str, folder: Path) -> str:
    """The commit that a revision names.

    Raises:
        RetrainError: when it names none.
    """
    try:
        return _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except RetrainError as error:
        _git(folder, "rev-parse", "--show-toplevel")
        raise RetrainError(
            f"git knows no revision {revision!r}", where=str(folder), remedy="fetch it first, as in git fetch origin main"
        ) from error


def project_of(start: Path) -> Path:
    """The folder of the project around a folder; that folder itself where there is none."""
    return next((one for one in (start, *start.parents) if (one / "pyproject.toml").is_file()), start)


def _standing(written: Written, project: Path) -> Standing:
    names = list(written.attributes.get("environments") or ()) if isinstance(written.attributes, dict) else []
    environments = {name: valid(written, name) for name in names or [DEFAULT_ENVIRONMENT]}
    file = written.file.resolve()
    shown = file.relative_to(project.resolve()).as_posix() if file.is_relative_to(project.resolve()) else str(file)
    root = file.parents[len(written.module.split("."))]
    one = next(iter(environments.values()))
    paths = {"features": one.features, "source.schema": one.source.schema_}
    return Standing(shown, environments, {what: _code(path, root) for what, path in paths.items()})


def _code(path: str, root: Path) -> str:
    """Digest of what an absolute Python path names: the function with all it imports, else the file."""
    try:
        return own_function(path, root).code
    except ContractError:
        file = root.joinpath(*path.split(".")[:-1]).with_suffix(".py")
        return sha256_hex(file.read_bytes()) if file.is_file() else ""


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, *arguments).decode()


def _run(folder: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        raise RetrainError("git is not installed", remedy="install git") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().partition("\n")[0] or f"git {arguments[0]} failed"
        raise RetrainError(said.removeprefix("fatal: "), where=str(folder), remedy="run it inside a git checkout") from error
