"""Sound data of three common kinds of model pass gates data and training at the defaults, from the source to the candidate."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import narwhals as nw
import numpy as np
import pandera.polars as pa
import polars as pl

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.contract import Verdict
from retrain_assets_tests.compute.parcels import contract_values

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)


class Accounts(pa.DataFrameModel):
    account: str
    taken_at: Annotated[pl.Datetime, "us", "UTC"]
    plan: str
    tenure: pl.Int64
    tickets: pl.Int64
    month: pl.Int64
    left: pl.Int8 = pa.Field(nullable=True)


class Payments(pa.DataFrameModel):
    card: str
    at: Annotated[pl.Datetime, "us", "UTC"]
    app_version: str
    amount: float
    velocity: pl.Int64
    reason: str = pa.Field(nullable=True)
    fraud: bool = pa.Field(nullable=True)


class Sales(pa.DataFrameModel):
    shop: str
    day: pl.Date
    open: bool
    promotion: bool
    weekday: pl.Int64
    month: pl.Int64
    area: float
    week_ago: float = pa.Field(nullable=True)
    sales: float = pa.Field(nullable=True)


def account_features(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.drop("taken_at", "left")


def payment_features(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("card", "amount", "velocity")


def sales_features(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.drop("day", "sales")


def accounts(months: int = 17, size: int = 1500) -> pl.DataFrame:
    """A snapshot of all accounts on the first of each month; those that leave are replaced, and a few more come."""
    draw, frames, tenure, first = np.random.default_rng(1), [], np.random.default_rng(2).integers(0, 60, size), 0
    names = np.arange(size)
    plan = draw.choice(["basic", "plus"], size)
    for at in range(months):
        moment = datetime(2022 + (9 + at) // 12, (9 + at) % 12 + 1, 1, tzinfo=UTC)
        tickets = draw.poisson(0.3, len(names))
        left = draw.random(len(names)) < 1 / (1 + np.exp(3.2 - 0.9 * tickets + 0.02 * tenure - 0.6 * (plan == "basic")))
        columns = {"account": [f"a{name}" for name in names], "plan": plan, "tenure": tenure, "tickets": tickets}
        made = pl.DataFrame(columns | {"month": np.full(len(names), moment.month), "left": left.astype(np.int8)})
        frames.append(made.with_columns(taken_at=pl.lit(moment, dtype=pl.Datetime("us", "UTC"))))
        new, first = int(left.sum() * 1.1), first + 100_000
        names, tenure = np.append(names[~left], first + np.arange(new)), np.append(tenure[~left] + 1, np.zeros(new, int))
        plan = np.append(plan[~left], draw.choice(["basic", "plus"], new))
    return pl.concat(frames)


def payments(days: int = 90) -> pl.DataFrame:
    """All day and night, a third on weekends, 0.4 % fraud, a new app every three weeks."""
    draw, start = np.random.default_rng(4), CUTOFF - timedelta(days=days)
    counts = [draw.poisson(300 if (start + timedelta(days=at)).weekday() >= 5 else 900) for at in range(days)]
    day = np.repeat(np.arange(days), counts)
    seconds = np.sort(day * 86400 + draw.random(day.size) * 86400)
    velocity, amount = draw.poisson(1.0, day.size), draw.lognormal(3, 1, day.size)
    fraud = draw.random(day.size) < 1 / (1 + np.exp(7.4 - 0.9 * velocity - 0.5 * np.log(amount / 20)))
    frame = pl.DataFrame({"card": draw.integers(0, 9000, day.size), "after": seconds, "amount": amount, "velocity": velocity})
    return frame.select(
        pl.format("c{}", "card").alias("card"),
        pl.lit(start).cast(pl.Datetime("us", "UTC")).add(pl.duration(microseconds=pl.col("after") * 1e6)).alias("at"),
        pl.Series("app_version", [f"4.{number // 21}" for number in day]),
        "amount",
        "velocity",
        pl.Series("reason", ["chargeback" if one else None for one in fraud], dtype=pl.String),
        pl.Series("fraud", fraud),
    )


def sales(days: int = 160, shops: int = 30) -> pl.DataFrame:
    """A row a day for each shop, closed on Sundays, New Year in the middle of the training window's end."""
    draw = np.random.default_rng(6)
    area = draw.lognormal(4, 0.6, shops)
    dates = [(CUTOFF - timedelta(days=days - at)).date() for at in range(days)]
    weekday = np.array([one.weekday() for one in dates])
    promotion = draw.random((days, shops)) < 0.2
    made = area * draw.gamma(20, 1 / 20, (days, shops)) * (1 + 0.4 * promotion) * (1 + 0.3 * (weekday == 5))[:, None]
    made = np.where((weekday == 6)[:, None], 0.0, made)
    return pl.DataFrame(
        {
            "shop": [f"s{shop}" for _ in dates for shop in range(shops)],
            "day": [one for one in dates for _ in range(shops)],
            "open": np.repeat(weekday != 6, shops),
            "promotion": promotion.ravel(),
            "weekday": np.repeat(weekday, shops),
            "month": [one.month for one in dates for _ in range(shops)],
            "area": np.tile(area, days),
            "week_ago": np.roll(made, 7, axis=0).ravel(),
            "sales": made.ravel(),
        }
    ).filter(pl.col("day") >= date(2023, 10, 1))


def closed(folder: Path, rows: pl.DataFrame, source: dict[str, Any], window: dict[str, Any], **changes: Any) -> list[Verdict]:
    """Verdicts of the three stages that do not pass."""
    (folder / "source").mkdir()
    rows.write_parquet(folder / "source" / "rows.parquet")
    gates = {"data": {"min_rows": 1000, "max_age": "40d"} | changes.pop("data", {}), "offline": changes.pop("offline")}
    contract = contract_values(folder, window=window, gates=gates, cadence={"min_interval": "7d"}, **changes)
    contract["source"] = {"uri": f"{folder}/source/*.parquet", **source}
    found, inputs = list[Verdict](), dict[str, str]()
    if contract["task"] == "regression":
        contract.pop("decision")
        contract["trainer"] |= {"calibration": "none", "estimator": "lightgbm.LGBMRegressor"}
    for stage in ("dataset", "features", "training"):
        parameters = {"cutoff": CUTOFF.isoformat()} if stage == "dataset" else {}
        result = run_stage(StageRequest(stage, contract["model"], "r", contract, inputs, str(folder / stage), parameters))
        inputs |= {name: output["uri"] for name, output in result.outputs.items()}
        found += [Verdict.from_json(one) for verdicts in result.verdicts.values() for one in verdicts]
    assert len(found) == 31
    return [one for one in found if not one.passed]


def test_a_churn_model_on_monthly_snapshots(tmp_path: Path) -> None:
    source = {
        "event_time": "taken_at",
        "unit": "account",
        "label": "left",
        "label_delay": "29d",
        "schema": f"{__name__}.Accounts",
    }
    offline = {"metrics": {"roc_auc": {"min": 0.5}}}
    window = {"train": "365d", "holdout": "62d", "backtests": 4}
    assert closed(tmp_path, accounts(), source, window, features=f"{__name__}.account_features", offline=offline) == []


def test_a_fraud_model_with_four_events_in_a_thousand(tmp_path: Path) -> None:
    source = {"event_time": "at", "unit": "card", "label": "fraud", "label_delay": "7d", "schema": f"{__name__}.Payments"}
    source |= {"known_after_prediction": ["reason"]}  # type: ignore[dict-item]
    offline, window = {"metrics": {"roc_auc": {"min": 0.5}}}, {"train": "60d", "holdout": "21d", "backtests": 2}
    features, data = f"{__name__}.payment_features", {"open_categories": ["app_version"]}
    assert closed(tmp_path, payments(), source, window, features=features, offline=offline, data=data) == []


def test_a_demand_model_with_a_row_a_shop_and_day(tmp_path: Path) -> None:
    source = {"event_time": "day", "unit": "shop", "label": "sales", "label_delay": "1d", "schema": f"{__name__}.Sales"}
    offline, window = {"metrics": {"r2": {"min": 0}}}, {"train": "91d", "holdout": "14d", "backtests": 4}
    features, data = f"{__name__}.sales_features", {"vetted_features": ["open", "weekday"]}
    changes: dict[str, Any] = {"task": "regression", "features": features, "offline": offline, "data": data}
    assert closed(tmp_path, sales(), source, window, **changes) == []
