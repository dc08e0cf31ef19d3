"""Models of a team's own classes: one line that says which classes of which source, then the state the model wrote itself, or
skops. Never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection
from typing import Any

from retrain_assets.bundle.own_code import path_of, require_sources, sources_of
from retrain_assets.bundle.skops_file import SKOPS_FILE, canonical, dumped, not_representable, read_skops
from retrain_assets.contract import CustodyError, StageError, canonical_json

OWN_FILE = "model.own"
FORMAT = "retrain_assets.own_model/1"

WROTE_ITSELF, SKOPS = "to_bytes", "skops"
LIBRARIES = (
    "sklearn",
    "lightgbm",
    "xgboost",
    "numpy",
    "scipy",
    "builtins",
    "functools",
    "operator",
    "builtin_function_or_method",
)


def estimator_file(estimator: Any) -> tuple[str, bytes]:
    """Name and contents of the model file of a fitted scikit-learn style estimator.

    One with ``to_bytes() -> bytes`` and ``from_bytes(bytes)`` (a class method) writes its state itself. Every other is kept as
    skops, where it holds classes of the team's own with the digests of their source.

    Raises:
        StageError: when there is only one of the two methods, the state is no bytes or a pickle, a class has no source file, or
            the estimator holds what is neither plain data nor the team's.
    """
    own = path_of(type(estimator))
    if not hasattr(estimator, "to_bytes"):
        archive, unknown = dumped(estimator)
        if not unknown:
            return SKOPS_FILE, canonical(archive)
        if foreign := [name for name in unknown if name.partition(".")[0] in LIBRARIES]:
            raise not_representable(estimator, f"it holds {', '.join(foreign)}")
        return OWN_FILE, _joined(own, SKOPS, unknown, canonical(archive))
    if not hasattr(type(estimator), "from_bytes"):
        remedy = "add the class method from_bytes(data), which makes the model of them"
        raise _unfit(own, "it has to_bytes and no from_bytes", remedy)
    state = estimator.to_bytes()
    if not isinstance(state, bytes):
        raise _unfit(own, f"to_bytes gives {type(state).__name__}", "give bytes: json, npz or safetensors")
    if (pickled := pickled_in(state)) is not None:
        raise _unfit(own, f"to_bytes gives {pickled}", "write json, npz (numpy.savez) or safetensors; pickles are never loaded")
    return OWN_FILE, _joined(own, WROTE_ITSELF, [own], state)


def read_own(data: bytes, where: str, packages: Collection[str]) -> Any:
    """The estimator of a model file.

    Args:
        data: contents of the file.
        where: the file, for messages.
        packages: top-level packages whose classes it may name.

    Raises:
        StageError: when a class cannot be imported here.
        CustodyError: when it is not one this product wrote, or its classes are not the code that is here.
    """
    line, _, state = data.partition(b"\n")
    try:
        said = json.loads(line)
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}")
        own, how, sources = str(said["class"]), str(said["state"]), dict(said["sources"])
    except (KeyError, TypeError, ValueError) as error:
        raise CustodyError(f"is not a readable model file ({error})", where=where) from error
    require_sources(sources, packages, where)
    if how == SKOPS:
        return read_skops(state, where, allowed=sources)
    if own not in sources or pickled_in(state) is not None:
        raise CustodyError("is not a model file this product wrote", where=where, remedy="do not load it")
    return _class(own).from_bytes(state)


def pickled_in(state: bytes) -> str | None:
    """What of a state is a pickle, in words; None where nothing is known to be one."""
    if state[:1] == b"\x80" and state[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if not state.startswith(b"PK"):
        return "an array of objects" if b"'descr': '|O'" in state[:256] else None
    try:
        with zipfile.ZipFile(io.BytesIO(state)) as archive:
            for name in archive.namelist():
                if name.endswith((".pkl", ".pickle")):
                    return f"an archive with the pickle {name} (torch.save writes one)"
                with archive.open(name) as member:
                    if (inside := pickled_in(member.read(256))) is not None:
                        return f"{inside} ({name})"
    except zipfile.BadZipFile:
        return None
    return None


def _class(path: str) -> Any:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _joined(own: str, how: str, types: Collection[str], state: bytes) -> bytes:
    said = {"format": FORMAT, "class": own, "state": how, "sources": sources_of(types, f"estimator {own}")}
    return canonical_json(said).replace(b"\n", b"") + b"\n" + state


def _unfit(own: str, why: str, remedy: str) -> StageError:
    return StageError(f"cannot be stored without pickle: {why}", where=f"estimator {own}", remedy=remedy)
