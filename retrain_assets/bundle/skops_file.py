"""scikit-learn estimators as skops files whose bytes depend on the estimator alone, read with an explicit list of types."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection
from typing import Any

from retrain_assets.contract import CustodyError, StageError

SKOPS_FILE = "model.skops"

TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
"""Types a model file may hold besides those skops trusts itself: data holders of scikit-learn and numpy."""


def skops_bytes(estimator: Any) -> bytes:
    """The estimator as a skops archive whose bytes depend on the estimator alone.

    Raises:
        StageError: when the estimator holds a type that is not on the list.
    """
    archive, unknown = dumped(estimator)
    if unknown:
        raise not_representable(estimator, f"it holds {', '.join(unknown)}")
    return canonical(archive)


def dumped(estimator: Any) -> tuple[bytes, list[str]]:
    """The archive as skops writes it, and the types in it that are not on the list.

    Raises:
        StageError: when it cannot be written as skops at all.
    """
    import skops.io

    try:
        archive = skops.io.dumps(estimator)
        return archive, sorted(set(skops.io.get_untrusted_types(data=archive)) - set(TRUSTED_TYPES))
    except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
        raise not_representable(estimator, str(error)) from error


def read_skops(data: bytes, where: str, allowed: Collection[str] = ()) -> Any:
    """The estimator of a skops archive.

    Args:
        data: the archive.
        where: the file, for messages.
        allowed: types it may hold besides those of the list.

    Raises:
        CustodyError: when the archive asks for another type, or is no archive.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(data, trusted=[*TRUSTED_TYPES, *allowed])
    except UntrustedTypesFoundException as error:
        raise CustodyError(str(error), where=where, remedy="the file is not one this product wrote; do not load it") from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise CustodyError(f"is not a readable skops file ({error})", where=where) from error


def not_representable(estimator: Any, why: str) -> StageError:
    """The error of an estimator that is no plain data."""
    return StageError(
        f"cannot be stored without pickle: {why}",
        where=f"estimator {type(estimator).__module__}.{type(estimator).__qualname__}",
        remedy="use LightGBM, XGBoost, a scikit-learn estimator made of plain arrays, or a class with to_bytes and from_bytes "
        "(models are never pickled)",
    )


def canonical(archive: bytes) -> bytes:
    """A skops archive whose bytes depend on the estimator alone.

    skops numbers its nodes by memory address and stamps the time; both are replaced: addresses by order of appearance, the time
    by 1980-01-01.
    """
    source = zipfile.ZipFile(io.BytesIO(archive))
    schema = json.loads(source.read("schema.json"))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, numbers, names, [0])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for old, new in names.items():
            out.writestr(_entry(new), source.read(old), compresslevel=6)
        out.writestr(_entry("schema.json"), json.dumps(schema, sort_keys=False, separators=(",", ":")), compresslevel=6)
    return target.getvalue()


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str], counter: list[int]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, numbers, names, counter)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        counter[0] += 1
        # Plain JSON values are shared or not by chance of the interpreter; sharing means nothing for them.
        shared = node.get("__loader__") != "JsonNode"
        node["__id__"] = numbers.setdefault(node["__id__"], counter[0]) if shared else counter[0]
    if isinstance(node.get("file"), str) and "__loader__" in node:
        stem, _, suffix = node["file"].rpartition(".")
        if stem:
            node["file"] = names.setdefault(node["file"], f"{len(names)}.{suffix}")
    for item in node.values():
        _renumber(item, numbers, names, counter)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
