"""Scoring by the routed arm: requests and features in, exposure rows out. Reads and writes no files."""

from __future__ import annotations

import numpy as np
import polars as pl

from retrain_assets.compute.attempt import Answers, Places, ScoringBundle, fill
from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
from retrain_assets.contract import CustodyError, Refused, StageError
from retrain_assets.routing import Reason, RoutingRule, VersionRef, assign_frame
from retrain_assets.routing.cohort import LIST_SEPARATOR

REQUEST_COLUMNS = ("request_id", "unit_id", "exposed_at")


class Scorer:
    """Scores one model's traffic under one routing rule.

    Args:
        rule: what serving knows of the model.
        champion: the champion's bundle.
        challenger: the challenger's bundle; needed while the rule routes to one, in shadow too.
        batch_rows: most rows scored in one call.
        champion_scores_all: whether the champion also scores what the challenger answered (the contract's
            ``adjust_for.champion_score``).

    Raises:
        Refused: where there is no champion, or the challenger's bundle is needed and not given.
        CustodyError: where a bundle is not the one the rule names.
    """

    def __init__(
        self,
        rule: RoutingRule,
        champion: ScoringBundle,
        challenger: ScoringBundle | None = None,
        *,
        batch_rows: int = 256,
        champion_scores_all: bool = False,
    ) -> None:
        if rule.champion is None:
            raise Refused("there is no champion to serve", where=rule.model, remedy="bootstrap one")
        if rule.is_routed and challenger is None:
            raise Refused("the challenger's bundle is not loaded", where=rule.model, remedy="load the version the rule names")
        _check(rule, "champion", rule.champion, champion)
        if rule.challenger is not None and challenger is not None:
            _check(rule, "challenger", rule.challenger, challenger)
        self.rule = rule
        self.champion = champion
        self.challenger = challenger
        self.batch_rows = batch_rows
        self.champion_scores_all = champion_scores_all

    def score(self, requests: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
        """Route and score requests.

        The arm is the routed one even where the challenger failed: then ``error`` is true, the champion answered, and ``score``
        and ``decision`` are the champion's. Where the champion failed, ``error`` is true and ``score`` and ``decision`` are null.
        ``latency_ms`` is the measured time of the scoring calls, a failed attempt included and shadow scoring not, divided by the
        rows they scored. ``shadow_score`` is the score of the arm that did not answer: in shadow the challenger's; where the
        challenger answered the champion's, if the champion scores all; null where that arm failed, which costs nobody an answer.

        Args:
            requests: ``request_id``, ``unit_id`` and ``exposed_at`` (timestamp with time zone), and one column per attribute.
            features: the feature rows of the same requests in the same order.

        Returns:
            Exposure rows (docs/data-formats.md) in the same order: the documented columns, the attributes, ``decision``.

        Raises:
            StageError: where requests and features do not belong together or a column is missing.
            RetrainError: where a cohort attribute is missing.
        """
        self._belong_together(requests, features)
        routed = assign_frame(self.rule, requests, "unit_id", requests.get_column("exposed_at"))
        to_challenger = (routed["arm"] == "challenger").to_numpy()
        in_shadow = (routed["reason"] == Reason.SHADOW).to_numpy()
        inside = routed["reason"].is_in([reason.value for reason in Reason if reason.in_experiment])

        answers, shadow = Answers.none_yet(requests.height), Answers.none_yet(requests.height)
        self._fill(answers, "champion", features, np.flatnonzero(~to_challenger))
        self._fill(answers, "challenger", features, np.flatnonzero(to_challenger))
        errors = answers.missing
        self._fill(answers, "champion", features, np.flatnonzero(errors & to_challenger))
        self._fill(shadow, "challenger", features, np.flatnonzero(in_shadow))
        if self.champion_scores_all:
            self._fill(shadow, "champion", features, np.flatnonzero(to_challenger & ~errors))

        attributes = [name for name in requests.columns if name not in {*EXPOSURE_COLUMNS, "reason", "decision"}]
        return routed.select(
            pl.col("request_id").cast(pl.String),
            pl.lit(self.rule.model).alias("model"),
            pl.col("unit_id").cast(pl.String).replace("", None),
            pl.when(inside).then(pl.lit(self.rule.toggle, dtype=pl.String)).alias("toggle"),
            pl.when(inside).then(pl.lit(self.rule.revision, dtype=pl.Int64)).otherwise(0).alias("revision"),
            pl.when(inside).then(pl.lit(self.rule.stage, dtype=pl.String)).alias("stage"),
            "arm",
            self._of_arm("version"),
            self._of_arm("bundle"),
            "exposed_at",
            pl.Series("latency_ms", answers.latency_ms),
            pl.Series("error", errors),
            pl.Series("score", answers.scores).fill_nan(None),
            pl.Series("shadow_score", shadow.scores).fill_nan(None),
            *(_logged(name, requests.schema[name]) for name in attributes),
            pl.Series("decision", answers.decisions.tolist(), dtype=pl.Boolean),
        )

    def _belong_together(self, requests: pl.DataFrame, features: pl.DataFrame) -> None:
        where = f"scoring of {self.rule.model}"
        if missing := [name for name in REQUEST_COLUMNS if name not in requests.columns]:
            remedy = f"give {', '.join(REQUEST_COLUMNS)}"
            raise StageError(f"requests lack {', '.join(missing)}", where=where, remedy=remedy)
        if requests.height != features.height:
            what = f"{requests.height} requests, but {features.height} feature rows"
            raise StageError(what, where=where, remedy="give one feature row per request, in the same order")
        moment = requests.schema["exposed_at"]
        if not isinstance(moment, pl.Datetime) or moment.time_zone is None or requests["exposed_at"].null_count():
            raise StageError(f"exposed_at is {moment}", where=where, remedy="give a timestamp with time zone in every row")

    def _fill(self, answers: Answers, arm: str, features: pl.DataFrame, places: Places) -> None:
        bundle = self.champion if arm == "champion" else self.challenger
        if bundle is not None and len(places):
            fill(answers, bundle, f"{arm} of {self.rule.model}", features, places, self.batch_rows)

    def _of_arm(self, part: str) -> pl.Expr:
        champion, challenger = getattr(self.rule.champion, part), getattr(self.rule.challenger, part, None)
        by_arm = pl.when(pl.col("arm") == "challenger").then(pl.lit(challenger, dtype=pl.String)).otherwise(pl.lit(champion))
        return by_arm.alias(part)


def _logged(name: str, kind: pl.DataType) -> pl.Expr:
    """An attribute as it is logged: a list as one text of what a condition can ask for, null where that is nothing."""
    column = pl.col(name)
    if not isinstance(kind, pl.List):
        return column
    texts = column.list.eval(pl.element().filter(~pl.element().str.contains(LIST_SEPARATOR, literal=True)))
    return pl.when(texts.list.len() > 0).then(texts.list.join(LIST_SEPARATOR)).alias(name)


def _check(rule: RoutingRule, arm: str, named: VersionRef, bundle: ScoringBundle) -> None:
    if bundle.digest != named.bundle:
        raise CustodyError(
            f"the loaded bundle has digest {bundle.digest}, the rule names {named.bundle}",
            where=f"{arm} of {rule.model}, version {named.version}",
            remedy="it is not served; take the version from the registry again",
        )
