"""The manifest of a bundle: everything that makes two deployable units the same or different. Its digest is the bundle's name."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from retrain_assets.contract import CustodyError, digest_of

RECORDED_PACKAGES = ("lightgbm", "numpy", "polars", "scikit-learn", "scipy", "skops", "narwhals")
"""Packages whose version can change what a bundle computes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is. Holds no wall-clock time: the same inputs give the same digest.

    Args:
        model: name of the model.
        retrain: key of the retrain that made it.
        task: ``binary_classification``, ``multiclass`` or ``regression``.
        estimator: import path of the estimator.
        params: all of its parameters: the contract's, the fixed ones of determinism, and the library's defaults.
        feature_names: columns the model reads, in the order of its matrix.
        feature_dtypes: kind per feature, ``numeric``, ``boolean`` or ``categorical``: the signature.
        feature_function: import path of the feature function.
        feature_pipeline: digest of the feature code.
        dataset: digest of the data set it was fitted and judged on; of an adopted model judged alone.
        label: ``{"column", "delay"}``: the definition of the label.
        window: ``{"train_start", "train_end", "holdout_end"}``, ISO-8601 UTC; None where an adopted model's is not known.
        calibration: ``{"kind", "fitted_on"}``: the rows it was fitted on in words, empty for ``none``.
        decision: ``{"threshold"}``, or None where there is no decision.
        classes: labels by position, the positive one last for a binary task; empty for regression.
        seed: seed of the fit; None where an adopted model's is not known.
        code: ``{"commit", "dirty"}`` of the feature code, commit None outside a checkout; ``product``: version of this product;
            ``estimator``: name and version of the estimator's package, or digest of its source where it is the team's
            own; ``adopted``: where the model is from, of an adopted one alone.
        environment: ``{"python", "platform", "packages", "threads", "lock"}``: threads of the fit; ``{"file", "digest"}`` of the
            project's lock file, both None where it has none. Bundles of before the lock was kept are without it.
        files: SHA-256 (hexadecimal) of every other file of the bundle by its name.
    """

    model: str
    retrain: str
    task: str
    estimator: str
    params: Mapping[str, Any]
    feature_names: tuple[str, ...]
    feature_dtypes: Mapping[str, str]
    feature_function: str
    feature_pipeline: str
    dataset: str
    label: Mapping[str, str]
    window: Mapping[str, str | None]
    calibration: Mapping[str, str]
    decision: Mapping[str, float] | None
    classes: tuple[str | int, ...]
    seed: int | None
    code: Mapping[str, Any]
    environment: Mapping[str, Any]
    files: Mapping[str, str]

    @property
    def adopted(self) -> str | None:
        """Where the model is from that was not fitted here, such as ``models:/churn/12``; None of one that was."""
        return self.code.get("adopted")

    @property
    def digest(self) -> str:
        """``sha256:…`` of the manifest's canonical JSON; covers every file through ``files``."""
        return digest_of(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        value = asdict(self)
        value["feature_names"] = list(self.feature_names)
        value["classes"] = list(self.classes)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Manifest:
        """The inverse of :meth:`to_json`.

        Raises:
            CustodyError: when a field is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if wrong := names.symmetric_difference(value):
            raise CustodyError(
                f"fields {', '.join(sorted(wrong))} are missing or unknown",
                where="manifest.json",
                remedy="this is not the manifest of a bundle of this release; take the bundle from the registry again",
            )
        tuples = {"feature_names": tuple(value["feature_names"]), "classes": tuple(value["classes"])}
        return cls(**{**value, **tuples})


def environment(
    threads: int | None = None, lock: Mapping[str, str | None] | None = None, packages: Sequence[str] = ()
) -> dict[str, Any]:
    """Python, platform, the versions of the packages that can change what a bundle computes, threads of the fit, lock file.

    Args:
        threads: of the fit.
        lock: the project's lock file.
        packages: what this bundle's estimator is made of besides :data:`RECORDED_PACKAGES`.
    """
    versions: dict[str, str] = {}
    for name in (*RECORDED_PACKAGES, *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "packages": versions,
        "threads": threads,
        "lock": dict(lock or {"file": None, "digest": None}),
    }
