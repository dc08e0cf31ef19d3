"""Functions of outcomes that give something else than one number a row for each measure."""

from __future__ import annotations

from typing import Any

import narwhals as nw


def nothing(rows: nw.DataFrame[Any]) -> None:
    return None


def fewer(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select(absolute_error="score", short_by_15="score").head(1)


def other_columns(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select(error_of_others="score")


def texts(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select(absolute_error=nw.col("score").cast(nw.String), short_by_15="score")


def raises(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    raise KeyError("band")
