"""The team's code by import path, and the digests and commit that say which code it was."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import retrain_assets
from retrain_assets.bundle import Manifest
from retrain_assets.bundle.own_code import file_digest
from retrain_assets.bundle.own_file import OWN_FILE
from retrain_assets.contract import StageError, digest_of, sha256_hex

LOCK_FILES = (
    *("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "conda-lock.yml", "pixi.lock"),
    "requirements.lock",
)
"""Files that fix a project's whole environment, by name."""

_PRODUCT_ROOMS = ("contract", "experiment", "drift", "routing", "gates", "bundle", "compute")


def import_path(path: str, what: str) -> Any:
    """The object an absolute import path names.

    Args:
        path: e.g. ``flights.features.build``.
        what: the contract's field, for the message.

    Raises:
        StageError: when the module cannot be imported or has no such attribute.
    """
    module_name, _, attribute = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        remedy = f"correct {what} in the contract"
        if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
            remedy = f"install the package that has {error.name}, or {remedy}"
        raise StageError(f"{path} cannot be imported ({error})", where=what, remedy=remedy) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        close = difflib.get_close_matches(attribute, dir(module), n=1)
        remedy = f"did you mean {module_name}.{close[0]}?" if close else f"correct {what} in the contract"
        raise StageError(f"module {module_name} has no {attribute}", where=what, remedy=remedy) from error


def source_digest(path: str, what: str) -> str:
    """Digest of an import path and the whole source text of the file that defines its object.

    Raises:
        StageError: when the object has no source file.
    """
    target = import_path(path, what)
    try:
        return file_digest(path, target)
    except (TypeError, OSError) as error:
        raise StageError(
            f"{path} has no source file", where=what, remedy="define it in a module; its source text is part of the record"
        ) from error


@lru_cache(maxsize=1)
def product_digest() -> str:
    """Digest of the product's own source that decides what a stage computes."""
    root = Path(retrain_assets.__file__).parent
    files = sorted(path for room in _PRODUCT_ROOMS for path in (root / room).rglob("*.py"))
    return digest_of({str(path.relative_to(root)): sha256_hex(path.read_bytes()) for path in files})


def commit_of(path: str) -> dict[str, Any]:
    """``{"commit", "dirty"}`` of the checkout that holds an import path's file; commit None outside a checkout or without git."""
    folder = _folder_of(path)
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def checkout_of(path: str) -> dict[str, str | None]:
    """``{"repository", "unknown"}`` of the checkout that holds an import path's file: where ``origin`` is, without credentials,
    and why there is no commit to name; each None where it does not apply."""
    folder = _folder_of(path)
    try:
        _git(folder, "rev-parse", "HEAD")
    except FileNotFoundError:
        return {"repository": None, "unknown": "git is not installed"}
    except OSError as error:
        return {"repository": None, "unknown": f"git cannot be run ({error.strerror})"}
    except subprocess.CalledProcessError as error:
        said = " ".join(str(error.stderr).split("\n", 1)[0].split())
        outside = "not a git repository" in said
        return {"repository": None, "unknown": "outside a git checkout" if outside else f"git does not tell ({said})"}
    try:
        origin = _git(folder, "remote", "get-url", "origin")
    except (OSError, subprocess.CalledProcessError):
        return {"repository": None, "unknown": None}
    return {"repository": re.sub(r"(?<=://)[^/@]*@", "", origin), "unknown": None}


def lock_of(path: str) -> dict[str, str | None]:
    """``{"file", "digest"}`` of the lock file of the project that holds an import path's file; both None where it has none.

    It is looked for from the file's folder upwards, no further than the checkout; the first of :data:`LOCK_FILES` counts.
    """
    folder = _folder_of(path)
    for place in (folder, *folder.parents):
        for name in LOCK_FILES:
            file = place / name
            if file.is_file():
                return {"file": name, "digest": "sha256:" + sha256_hex(file.read_bytes())}
        if (place / ".git").exists():
            break
    return {"file": None, "digest": None}


def code_facts(path: str) -> dict[str, Any]:
    """Where the code of an import path is from: ``commit`` as :func:`commit_of`, ``checkout`` as :func:`checkout_of`, ``lock`` as
    :func:`lock_of`. A job that has the code without its checkout is told by the request."""
    return {"commit": commit_of(path), "checkout": checkout_of(path), "lock": lock_of(path)}


def code_folders(manifest: Manifest) -> list[Path]:
    """The folders that a bundle's own classes are imported from; none for a model of a library."""
    if OWN_FILE not in manifest.files:
        return []
    found = []
    for path in dict.fromkeys((manifest.estimator, manifest.feature_function)):
        package = importlib.import_module(path.partition(".")[0])
        places = [Path(place).parent for place in getattr(package, "__path__", ())] or [_folder_of(path)]
        found += [place.resolve() for place in places if place.resolve() not in found]
    return found


def _folder_of(path: str) -> Path:
    return Path(inspect.getfile(import_path(path, path))).resolve().parent


def _git(folder: Path, *arguments: str) -> str:
    told = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, env=told)
    return done.stdout.strip()
