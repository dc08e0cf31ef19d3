"""From a model that MLflow loaded to what a bundle holds: a predictor in a native format, and the encoding of its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.bundle.encoding import BOOLEAN, CATEGORICAL, NUMERIC, Encoding, kind_of
from retrain_assets.bundle.mlflow_model import LoadedModel
from retrain_assets.bundle.model_file import EstimatorPredictor, LightGBMPredictor, Predictor
from retrain_assets.bundle.table_file import TablePredictor
from retrain_assets.bundle.xgboost_file import XGBoostPredictor
from retrain_assets.contract import StageError

_KINDS = {**dict.fromkeys(("double", "float", "long", "integer"), NUMERIC), "boolean": BOOLEAN, "string": CATEGORICAL}
_TYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}
_UNNAMED = ("Column_0", "f0")


def adopted_predictor(loaded: LoadedModel, task: str, encoding: Encoding, threads: int | None = None) -> Predictor:
    """The model as a bundle keeps it: the trees that MLflow scores with in the library's own format, or a scikit-learn model.

    Args:
        loaded: the model.
        task: the contract's task.
        encoding: of the features it reads.
        threads: threads that trees score with.

    Raises:
        StageError: when the model is of another task.
    """
    raw = loaded.raw
    classifies = hasattr(raw, "predict_proba") or (hasattr(raw, "classes_") and task != "regression")
    if hasattr(raw, "fit") and classifies is (task == "regression"):
        raise StageError(
            f"is {loaded.estimator}, the contract's task is {task}",
            where=str(loaded.about.directory),
            remedy="correct task in the contract, or adopt another model",
        )
    package = type(raw).__module__.partition(".")[0]
    if package == "lightgbm":
        import lightgbm

        booster = raw if isinstance(raw, lightgbm.Booster) else raw.booster_
        return LightGBMPredictor(lightgbm.Booster(model_str=booster.model_to_string()), threads)
    if package == "xgboost":
        import xgboost

        booster = raw if isinstance(raw, xgboost.Booster) else raw.get_booster()
        best = booster.attr("best_iteration")
        if best is not None and not isinstance(raw, xgboost.Booster):
            booster = booster[: int(best) + 1]
        return XGBoostPredictor(booster, threads)
    if hasattr(raw, "feature_names_in_"):
        return TablePredictor(raw, task, encoding)
    return EstimatorPredictor(raw, task)


def expected_features(loaded: LoadedModel) -> tuple[tuple[str, str | None], ...]:
    """Name and kind of each feature the model reads, in its order; kind None where only the name is known.

    Raises:
        StageError: when the model names no features, or reads a type that is none of a feature.
    """
    if inputs := loaded.about.inputs:
        if wrong := [f"{name} ({kind})" for name, kind in inputs if kind not in _KINDS]:
            raise StageError(
                f"reads {', '.join(wrong)}, and a feature is a number, a boolean or a text",
                where=str(loaded.about.directory),
                remedy="log a model that reads the converted columns",
            )
        return tuple((name, _KINDS[kind]) for name, kind in inputs)
    names = _own_names(loaded.raw)
    if not names or names[0] in _UNNAMED:
        raise StageError(
            "names no features: it has no signature, and was fitted on rows without names",
            where=str(loaded.about.directory),
            remedy="give it one: mlflow.models.set_signature(uri, infer_signature(frame))",
        )
    return tuple((name, None) for name in names)


def differing_features(loaded: LoadedModel, schema: Mapping[str, pl.DataType], names: Sequence[str]) -> list[dict[str, str]]:
    """Where what the model reads and what the feature function gives differ, a row each: ``feature``, ``model``, ``features``.

    Args:
        loaded: the model.
        schema: types of the feature snapshot.
        names: its features, in order.
    """
    expected = expected_features(loaded)
    types = dict(loaded.about.inputs)
    rows = []
    for name, kind in expected:
        if name not in names:
            rows.append(_row(name, types.get(name, kind or "reads it"), "not there"))
            continue
        here = schema[name]
        given = kind_of(name, here)
        narrows = types.get(name) in ("long", "integer") and here.is_float()
        if (kind is not None and kind != given and here != pl.Null) or narrows:
            rows.append(_row(name, types.get(name, str(kind)), str(here)))
    known = [name for name, _ in expected]
    rows += [_row(name, "does not read it", str(schema[name])) for name in names if name not in known]
    if not rows and known != list(names):
        rows = [
            _row(f"place {at + 1}", theirs, ours)
            for at, (theirs, ours) in enumerate(zip(known, names, strict=True))
            if theirs != ours
        ]
    return rows


def adopted_encoding(loaded: LoadedModel, frames: Sequence[pl.DataFrame], names: Sequence[str]) -> Encoding:
    """The encoding of the features as the model reads them: categories by the model's own codes.

    Args:
        loaded: the model.
        frames: rows of the features; a scikit-learn model also knows the texts that stand in them.
        names: the features, in order.

    Raises:
        StageError: when the model's categories cannot be told.
    """
    found = Encoding.of(pl.concat([frame.select(names) for frame in frames], how="vertical_relaxed"), names)
    texts = [name for name in names if found.kinds[name] == CATEGORICAL]
    if not texts:
        return found
    package = type(loaded.raw).__module__.partition(".")[0]
    if package == "lightgbm":
        import lightgbm

        booster = loaded.raw if isinstance(loaded.raw, lightgbm.Booster) else loaded.raw.booster_
        lists = booster.pandas_categorical or []
        if len(lists) != len(texts) or not all(isinstance(value, str) for known in lists for value in known):
            raise _untellable(loaded, texts, f"knows categories of {len(lists)} columns")
        return Encoding(found.names, found.kinds, {name: tuple(known) for name, known in zip(texts, lists, strict=True)})
    if package == "xgboost":
        raise _untellable(loaded, texts, "is XGBoost, which does not say its categories")
    known = dict(_categories_in(loaded.raw))
    merged = {name: tuple(sorted({*found.categories[name], *known.get(name, ())})) for name in texts}
    return Encoding(found.names, found.kinds, merged)


def as_mlflow_reads(loaded: LoadedModel, frame: pl.DataFrame, encoding: Encoding) -> Any:
    """Feature rows as the pandas frame that MLflow is given: in the types of the signature.

    Raises:
        StageError: when a column does not fit its type, as an integer with missing values.
    """
    import pandas as pd  # type: ignore[import-untyped]

    types = dict(loaded.about.inputs)
    columns = {}
    for name in encoding.names:
        values = frame[name]
        if encoding.kinds[name] == CATEGORICAL:
            texts = pd.Series(np.array(values.cast(pl.String).to_list(), dtype=object), dtype=object)
            by_code = type(loaded.raw).__module__.startswith("lightgbm")
            columns[name] = texts.astype(pd.CategoricalDtype(list(encoding.categories[name]))) if by_code else texts
            continue
        wanted = types.get(name, "bool" if encoding.kinds[name] == BOOLEAN and not values.null_count() else "double")
        try:
            columns[name] = pd.Series(values.to_numpy()).astype(_TYPES.get(wanted, wanted))
        except (TypeError, ValueError) as error:
            raise StageError(
                f"does not fit the model's type {wanted} ({error})",
                where=f"feature {name}",
                remedy="fill what is missing in the feature function as it was filled when the model was fitted",
            ) from error
    return pd.DataFrame(columns)


def _own_names(raw: Any) -> list[str]:
    for said in (getattr(raw, "feature_names_in_", None), getattr(raw, "feature_names", None)):
        if said is not None:
            return [str(name) for name in said]
    named = getattr(raw, "feature_name", None)
    return [str(name) for name in named()] if callable(named) else []


def _categories_in(estimator: Any) -> Iterator[tuple[str, list[str]]]:
    """Categories by column of every fitted encoder within a scikit-learn estimator."""
    names = getattr(estimator, "feature_names_in_", None)
    lists = getattr(estimator, "categories_", None)
    if names is not None and lists is not None and len(names) == len(lists):
        for name, known in zip(names, lists, strict=True):
            yield str(name), [value for value in known if isinstance(value, str)]
    inner = [step for _, step in getattr(estimator, "steps", ())]
    inner += [part[1] for part in getattr(estimator, "transformers_", ())]
    inner += [getattr(estimator, name) for name in ("estimator_", "best_estimator_") if hasattr(estimator, name)]
    for one in inner:
        if not isinstance(one, str):
            yield from _categories_in(one)


def _row(feature: str, model: str, features: str) -> dict[str, str]:
    return {"feature": feature, "model": model, "features": features}


def _untellable(loaded: LoadedModel, texts: Sequence[str], why: str) -> StageError:
    return StageError(
        f"{why}, and {', '.join(texts)} are texts",
        where=str(loaded.about.directory),
        remedy="make numbers of them in the feature function as it was done when the model was fitted",
    )
