"""A team's own classes in a model file: which file of source each is from, and why one is not loaded."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from retrain_assets.contract import CustodyError, StageError, digest_of, sha256_hex

READS = "READS_SOURCES"
"""Class attribute with the digests of earlier sources of the class whose stored models it still reads."""


def file_digest(path: str, target: Any) -> str:
    """Digest of an import path and the whole text of the file that defines its object.

    Raises:
        TypeError: when the object has no source file.
        OSError: when the file cannot be read.
    """
    return digest_of({"path": path, "sha256": sha256_hex(Path(inspect.getfile(target)).read_bytes())})


def path_of(kind: type) -> str:
    """The import path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def sources_of(types: Iterable[str], where: str) -> dict[str, str]:
    """Digest of the source by class, for a model file; ``where`` is the estimator, for messages.

    Raises:
        StageError: for what is no class of a module with a source file.
    """
    found = {}
    for path in types:
        try:
            found[path] = file_digest(path, _imported(path))
        except (ImportError, AttributeError, TypeError, OSError) as error:
            raise StageError(
                f"cannot be stored without pickle: {path} is no class of a module with a source file ({error})",
                where=where,
                remedy="define the class at the top of a module of your project",
            ) from error
    return found


def require_sources(sources: dict[str, str], packages: Collection[str], where: str) -> None:
    """Refuse a model file whose classes are not the code that is here.

    Args:
        sources: digest of the source by class, as the model file says.
        packages: top-level packages of the estimator and the features that the bundle's manifest names; no other is imported.
        where: the file, for messages.

    Raises:
        StageError: when a class cannot be imported here.
        CustodyError: when its package is not one of those, or its source is neither the recorded one nor one it says it reads.
    """
    for path, recorded in sources.items():
        if path.partition(".")[0] not in packages:
            raise CustodyError(
                f"asks for {path}, which is not of {' or '.join(sorted(packages)) or 'a package of its manifest'}",
                where=where,
                remedy="keep the model's classes in the package of the estimator or of the features",
            )
        try:
            kind = _imported(path)
            here = file_digest(path, kind)
        except (ImportError, AttributeError, TypeError, OSError) as error:
            raise StageError(
                f"needs {path}, which cannot be imported here ({error})",
                where=where,
                remedy="install the project that has it wherever the model is judged or served (pip install -e .)",
            ) from error
        if here != recorded and recorded not in getattr(kind, READS, ()):
            raise CustodyError(
                f"was made with {path} of source {recorded}, here is {here}",
                where=where,
                remedy=f'restore that source; if the present one reads its models too: {READS} = ("{recorded}",) in the class',
            )


def _imported(path: str) -> type:
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, type) or path_of(found) != path:
        raise TypeError("not the class of that name")
    return found
