"""The file ``defs.yaml`` of a scaffolded model: every field with a comment that says what it does and where its value is from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrain_assets.components.scaffolding.facts import Facts
from retrain_assets.components.scaffolding.limits import Limits
from retrain_assets.components.scaffolding.roles import Roles
from retrain_assets.components.scaffolding.suspects import Sorted
from retrain_assets.contract import format_duration

COMPONENT = "retrain_assets.components.RetrainComponent"
YAML_WORDS = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
"""Words that YAML does not read as text."""
PARAMS = {"n_estimators": 150, "learning_rate": 0.06, "num_leaves": 15, "colsample_bytree": 0.8, "reg_lambda": 5.0, "n_jobs": 1}
"""Of the first estimator: small enough for some thousand rows, and to fit in seconds."""


@dataclass(frozen=True, slots=True)
class People:
    """Who answers for the model.

    Args:
        owner: ``team:NAME`` or an e-mail address; owns all five gates until somebody divides them.
        approver: an e-mail address.
        signers: name of the file with the approver's key, beside the contract; None: approvals are not signed.
    """

    owner: str
    approver: str
    signers: str | None

    @property
    def are_one(self) -> bool:
        """Whether one person answers for everything."""
        return self.owner == self.approver


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything the contract of a model says.

    Args:
        model: its name.
        purpose: what it is for.
        facts: the source.
        roles: what each column is for.
        columns: features and what is left out.
        limits: the numbers.
        people: who answers.
        key: columns that, with unit and event time, make a row unique.
    """

    model: str
    purpose: str
    facts: Facts
    roles: Roles
    columns: Sorted
    limits: Limits
    people: People
    key: tuple[str, ...] = ()


def contract_text(draft: Draft) -> str:
    """The YAML of a draft."""
    return "\n".join(
        [
            f"# The release contract of {draft.model}: what a retrain must show before it serves, and who says so.",
            "# All fields: `dg utils configure-editor vscode` makes the editor explain and complete them; docs/ has the pages.",
            f"type: {COMPONENT}",
            "attributes:",
            *(f"  {line}" if line else "" for line in _attributes(draft)),
            "",
        ]
    )


def _attributes(draft: Draft) -> Iterator[str]:
    yield f"model: {draft.model} # asset keys, registry and flag carry this name"
    yield f"task: {draft.roles.task} # binary_classification, multiclass or regression"
    yield f"purpose: {_text(draft.purpose)}"
    yield "owners: # who answers for each gate: team:NAME or an e-mail address"
    for role in ("data", "training", "evaluation", "experiment", "release"):
        yield f"  {role}: {draft.people.owner}"
    yield from _source(draft)
    yield from _model(draft)
    yield "gates: # docs/gates.md"
    yield from (f"  {line}" for line in [*_data(draft), *_training(), *_offline(draft)])
    yield from _experiment(draft)
    yield from _control(draft)
    yield from _cadence(draft)
    yield "rehearsal: {outcomes: .schema.outcomes} # what became of scored rows of history, for `retrain rehearse`"
    yield "compute: local # where heavy stages run: local, {spark: ...} or {databricks: ...}; docs/databricks.md"
    yield '# notify: ["${SLACK_URL}"] # who is told, apprise URLs; docs/notifications.md'
    yield "# economics: {value_per_unit: 1.0, currency: EUR, review_cost: 400} # what an effect is worth; docs/experiment.md"


def _source(draft: Draft) -> Iterator[str]:
    roles, limits = draft.roles, draft.limits
    late = [*draft.columns.known_late, roles.label]
    seen = "" if draft.facts.uri.startswith(("/", "$")) else " # seen from the project's root; or a glob, or ${RETRAIN_HOME}/…"
    yield "source: # docs/sources.md"
    yield f"  uri: {_text(draft.facts.uri)}{seen}"
    if draft.facts.is_delta:
        yield "  format: delta"
    yield f"  event_time: {_text(roles.event_time)} # when the prediction is made, UTC; {limits.first} to {limits.last}"
    yield f"  unit: {_text(roles.unit)} # what stays on one arm; about {limits.units_a_day:,} a day lately"
    if draft.key:
        yield f"  key: {_listed(draft.key)} # with unit and event time these make a row unique"
    yield f"  label: {_text(roles.label)} # null where it is not known"
    yield f"  label_delay: {format_duration(roles.label_delay)} # how long after the event the label is known"
    yield "  schema: .schema.Rows # what one row must look like (pandera)"
    yield f"  known_after_prediction: {_listed(late)} # no feature may depend on these"


def _model(draft: Draft) -> Iterator[str]:
    limits, task = draft.limits, draft.roles.task
    kind = "Regressor" if task == "regression" else "Classifier"
    yield "window: # the split is by time, never random"
    yield f"  train: {limits.train}d # of {limits.days} days there are"
    yield f"  holdout: {limits.holdout}d # directly after it; what a candidate is judged on"
    yield f"  backtests: {limits.backtests} # earlier hold-outs inside train"
    yield "features: .features.build # function from source rows to unit and features"
    yield "trainer: # any scikit-learn style estimator by its import path"
    yield f"  estimator: lightgbm.LGBM{kind}"
    yield "  params:"
    for name, value in {**PARAMS, "min_child_samples": _leaf(limits)}.items():
        yield f"    {name}: {value}"
    if task != "regression":
        yield "  calibration: sigmoid # scores become probabilities; fitted on the newest part of the training window"
    yield "  seed: 7"
    if limits.threshold is not None:
        yield f"decision: {{threshold: {limits.threshold}}} # {limits.label_rate:.1%} are positive; schema.py has its costs"


def _data(draft: Draft) -> Iterator[str]:
    limits = draft.limits
    yield "data: # gate 1: is this data fit to train on?"
    yield f"  min_rows: {limits.rows} # half of what the training window has"
    yield f"  min_holdout_rows: {limits.holdout_rows}"
    yield f"  max_age: {limits.max_age}d # of the newest row at the cut-off"
    if limits.max_missing:
        yield "  max_missing: # half as much again as in the worst weeks so far, and two points"
        yield from (f"    {_text(name)}: {share:.0%}" for name, share in limits.max_missing.items())
    for name, (value, why) in limits.data.items():
        yield f"  {name}: {value} # {why}"


def _training() -> Iterator[str]:
    yield "training: # gate 2: is the model sound and repeatable?"
    yield "  max_duration: 10m"
    yield "  min_gain_over_baseline: 0% # in log loss or squared error, over predicting the usual rate"


def _offline(draft: Draft) -> Iterator[str]:
    limits, task = draft.limits, draft.roles.task
    metrics, judged, margin = _metrics(draft)
    yield "offline: # gate 3: is it good enough to meet traffic?"
    yield "  metrics: # against fixed limits, and against the champion on the same rows"
    yield from (f"    {line}" for line in metrics)
    if limits.slices:
        columns = _listed(limits.slices)
        yield f"  slices: {{columns: {columns}, metric: {judged}, max_regression: {margin}}} # no part may get much worse"
    if task != "regression":
        limit = f"max_ece: {limits.max_ece}, max_bias: {limits.max_bias}"
        yield f"  calibration: {{{limit}}} # do probabilities mean what they say? As far as rates moved so far"
    yield f"  backtests: {{metric: {judged}, max_spread: {_spread(draft)}}} # best and worst earlier hold-out"
    yield "  max_latency_ms: 50 # median of scoring one row"
    yield "  # fairness: [{column: …, max_tpr_difference: 10%}]"


def _metrics(draft: Draft) -> tuple[list[str], str, str]:
    """Lines of the metrics, the metric slices are judged by, and its margin in a slice."""
    limits = draft.limits
    if draft.roles.task == "binary_classification":
        lines = ["roc_auc: {min: 0.52, max_regression: 0.03}", "brier_score: {max_regression: 0.01}"]
        return lines, "brier_score", "0.03"
    if draft.roles.task == "multiclass":
        return ["log_loss: {max_regression: 0.05}", "accuracy: {max_regression: 0.03}"], "log_loss", "0.15"
    scale = limits.label_scale or 1.0
    lines = [
        f"mean_absolute_error: {{max_regression: {_figure(scale * 0.03)}}} # the label's standard deviation is {_figure(scale)}",
        "r2: {min: 0.0}",
    ]
    return lines, "mean_absolute_error", _figure(scale * 0.1)


def _spread(draft: Draft) -> str:
    if draft.roles.task == "regression":
        return _figure(draft.limits.label_scale or 1.0)
    return "0.15" if draft.roles.task == "binary_classification" else "0.8"


def _experiment(draft: Draft) -> Iterator[str]:
    limits = draft.limits
    outcome = f"{limits.outcome_days:g}d"
    first, second = (f"{days + limits.outcome_days:g}d" for days in (14, 21))
    yield "experiment: # gate 4, the canary: docs/experiment.md; `retrain plan` says whether it can conclude"
    yield f"  ramp: [shadow, {', '.join(map(str, limits.stages))}, 100] # per cent of traffic; 100 is the promotion"
    names, lines = _measures(draft)
    yield f"  outcomes: [{', '.join(names)}] # measure columns of the outcome table"
    if limits.segment:
        yield f"  segments: {_listed([limits.segment])} # the report is split by these; requests must carry them"
    yield "  adjust_for: {champion_score: true} # the champion scores all requests: less variance; docs/experiment.md"
    yield from (f"  {line}" for line in lines)
    yield "  stop_loss: {max_harm: 0%} # a worse success measure, shown twice, rolls back at once"
    yield f"  outcome_window: {outcome} # an outcome counts that long after the exposure"
    yield f"  min_stage: {{units: {limits.stage_units}, duration: 1d}} # what each stage must have seen"
    yield "  full_weeks: 2 # so that no weekday weighs double"
    yield f"  looks: {{after: [{first}, {second}]}} # when a win is judged; harm is watched every day"
    yield f"  max_duration: {limits.max_days}d # then it is rejected"
    yield f"  expected_units_per_day: {limits.units_a_day} # as in the newest weeks of the source"
    yield f"  planned_units: {limits.units_a_day * 21}"


def _measures(draft: Draft) -> tuple[list[str], list[str]]:
    """Names of the outcome measures, and the lines of success measure and guardrails."""
    shared = [
        "  error_rate: {column: error, direction: decrease, margin: 0.01} # requests the model failed on",
        "  latency_p95: {column: latency_ms, quantile: 95%, direction: decrease, margin: 25} # milliseconds",
    ]
    if draft.roles.task == "binary_classification":
        missed = _margin(draft, draft.limits.label_rate or 0.5)
        alarm = _margin(draft, 0.3)
        return ["cost", "missed_rate", "false_alarm_rate"], [
            "success: # what the challenger must win on",
            "  cost: {direction: decrease, min_effect: 0%} # of missed positives and false alarms; the prices are in schema.py",
            "guardrails: # what it must be shown not to harm, with the margin that is tolerable",
            f"  missed_rate: {{direction: decrease, margin: {missed}}} # positives it misses, as a share of all units",
            f"  false_alarm_rate: {{direction: decrease, margin: {alarm}}}",
            *shared,
        ]
    if draft.roles.task == "multiclass":
        return ["mistake"], [
            "success: # what the challenger must win on",
            "  mistake: {direction: decrease, min_effect: 0%} # share of wrong classes",
            "guardrails: # what it must be shown not to harm",
            *shared,
        ]
    scale = draft.limits.label_scale or 1.0
    return ["absolute_error"], [
        "success: # what the challenger must win on",
        "  absolute_error: {direction: decrease, min_effect: 0%}",
        "guardrails: # what it must be shown not to harm",
        f"  large_error_rate: {{column: absolute_error, above: {_figure(2 * scale)}, direction: decrease, margin: "
        f"{_margin(draft, 0.1)}}} # two standard deviations off",
        *shared,
    ]


def _margin(draft: Draft, rate: float) -> float:
    """A margin for a share that the planned traffic can resolve, between 2 and 20 points."""
    arm = max(draft.limits.units_a_day * 21 / 3, 1)
    return min(0.2, max(0.02, math.ceil(100 * 4 * math.sqrt(2 * rate * (1 - rate) / arm)) / 100))


def _control(draft: Draft) -> Iterator[str]:
    limits, people = draft.limits, draft.people
    yield "toggle: # terms of each challenger's release control; docs/toggles.md"
    yield f"  owner: {people.owner}"
    yield f"  purpose: {_text(f'Compare the retrained {draft.model} model with the champion before it replaces it')}"
    yield f"  expires_after: {limits.max_days + 2}d # then it rolls back by itself"
    yield f"  remove_after: {limits.max_days + 62}d # until then a promotion can be rolled back with one command"
    yield "  rollback: previous_champion"
    yield "approval: # gate 5, people: docs/approvals.md"
    yield f"  approvers: [{people.approver}]"
    if people.signers:
        yield f"  allowed_signers: {people.signers} # public keys, a line each; approvals are signed"
    else:
        yield "  # allowed_signers: allowed_signers # file of public keys; without it nothing is signed"
    yield "  required: 1"
    if people.are_one:
        yield "  separation_of_duties: false # one person for a start; name a second one and write true before it serves"
    else:
        yield "  separation_of_duties: true # whoever launches a retrain cannot be the only one who approves it"
    yield "  valid_for: 3d"


def _cadence(draft: Draft) -> Iterator[str]:
    limits = draft.limits
    window = 14 if limits.holdout >= 14 else 7
    drift = {
        "binary_classification": "{calibration_bias: 0.05, prediction_psi: 0.2}",
        "multiclass": "{prediction_psi: 0.2}",
        "regression": "{prediction_psi: 0.2}",
    }[draft.roles.task]
    yield "cadence: # when retrains are launched; docs/drift.md"
    yield '  cron: "0 6 1 * *" # UTC: on the first of a month'
    yield '  drift_cron: "0 6 * * 1" # the weekly drift report'
    yield f"  on_drift: {{window: {window}d, limits: {drift}, at_least: 2, of_last: 3, min_rows: {_drift_rows(limits, window)}}}"
    yield "  min_interval: 21d"


def _drift_rows(limits: Limits, window: int) -> int:
    return max(20, round(limits.units_a_day * window * 0.4))


def _leaf(limits: Limits) -> int:
    return max(5, min(200, limits.rows // 100))


def _figure(number: float) -> str:
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(map(_text, names))}]"


def _text(value: str) -> str:
    """A text as YAML writes it, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z](?:[\w ./*-]*[\w./*-])?", value) and value.lower() not in YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
