"""What to do at three in the morning with one model, from its contract, with the commands filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import Contract, Gate, format_duration
from retrain_assets.reports.gates import FALLBACKS, QUESTIONS


def runbook(contract: Mapping[str, Any]) -> str:
    """The runbook of one model as Markdown.

    Args:
        contract: the release contract as JSON.

    Raises:
        pydantic.ValidationError: when it is not a contract.
    """
    terms = Contract.recorded(dict(contract))
    return "\n".join([*_head(terms), *_first(terms), *_stop(terms), *_decide(terms), *_repair(terms), *_background(terms)]) + "\n"


def _head(terms: Contract) -> list[str]:
    return [
        f"# {terms.model}: what to do at 3 a.m.",
        "",
        terms.purpose,
        "",
        "Rolling back is always allowed and needs no approval. When in doubt, roll back, write why, find the cause by daylight.",
        "",
    ]


def _first(terms: Contract) -> list[str]:
    commands = {
        f"retrain status {terms.model}": "champion, active toggle, stage, what is due",
        f"retrain canary {terms.model}": "champion against challenger, with intervals and health",
        f"retrain toggle list {terms.model}": "every toggle with owner, stage and expiry",
        "retrain audit verify": "whether the records are what was recorded",
    }
    width = max(map(len, commands))
    return ["## 1. Look", "", "```sh", *(f"{line:{width}}  # {shows}" for line, shows in commands.items()), "```", ""]


def _stop(terms: Contract) -> list[str]:
    return [
        "## 2. Stop harm",
        "",
        "A challenger hurts, or a fresh champion does. All traffic goes to the previous champion at once:",
        "",
        "```sh",
        "export RETRAIN_ACTOR=your.name@example.org  # who acts; goes into the ledger with the reason",
        f'retrain toggle rollback {terms.model} --reason "what you saw, one sentence"',
        "```",
        "",
        "Once is enough: after a promotion the same line again goes back one champion more. Where two people may be at it, "
        "write the toggle's name instead of the model's; it is rolled back only once.",
        "",
        "Not sure it is the challenger? Stop the ramp where it stands, traffic stays divided as it is:",
        "",
        "```sh",
        f'retrain toggle hold {terms.model} --reason "what you want to find out"',
        f'retrain toggle resume {terms.model} --reason "what you found"',
        "```",
        "",
        f"By itself the toggle rolls back when a guardrail is shown harmed, when a success measure is shown worse than "
        f"{terms.experiment.stop_loss.max_harm:.0%}, and {format_duration(terms.toggle.expires_after)} after arming.",
        "",
        *_measures(terms),
    ]


def _measures(terms: Contract) -> list[str]:
    rows = ["| measure | role | better is | limit |", "|---|---|---|---|"]
    for name, success in terms.experiment.success.items():
        rows.append(
            f"| {name} | success | {_better(success.direction)} | improvement above {success.min_effect:.1%} must be shown |"
        )
    for name, guardrail in terms.experiment.guardrails.items():
        limit = f"{guardrail.margin:g} absolute" if guardrail.margin is not None else f"{guardrail.max_regression:.1%} relative"
        rows.append(f"| {name} | guardrail | {_better(guardrail.direction)} | harm above {limit} rolls back |")
    return [*rows, ""]


def _better(direction: str) -> str:
    return "lower" if direction == "decrease" else "higher"


def _decide(terms: Contract) -> list[str]:
    approval = terms.approval
    return [
        "## 3. A challenger waits for approval",
        "",
        "Nothing breaks when it waits until morning: the champion or the last stage of the ramp goes on. To decide, read its "
        f"evidence pack first (`retrain audit show {terms.model} RETRAIN`), then:",
        "",
        "```sh",
        f'retrain approve {terms.model} RETRAIN --reason "why it may go live"',
        f'retrain reject {terms.model} RETRAIN --reason "why not"',
        "```",
        "",
        f"Needed: {approval.required} of {', '.join(approval.approvers)}; "
        f"an approval holds for {format_duration(approval.valid_for)}.",
        "",
    ]


def _repair(terms: Contract) -> list[str]:
    return [
        "## 4. Repair",
        "",
        "`flags.json` is gone or old, an alias in the registry is wrong, a process was killed half-way: the ledger is the truth, "
        "everything else is made from it again.",
        "",
        "```sh",
        "retrain reconcile --everything",
        "retrain audit verify",
        "```",
        "",
        "When `audit verify` finds the chain broken: serving goes on with the last flag document, and a rollback still works "
        "unless the chain's end or an event's form is damaged. Do nothing else with it, keep the files as they are, restore "
        "ledger and evidence from the last backup beside them, and verify that.",
        "",
    ]


def _background(terms: Contract) -> list[str]:
    owners = terms.owners
    answers = {
        Gate.DATA: owners.data,
        Gate.TRAINING: owners.training,
        Gate.OFFLINE: owners.evaluation,
        Gate.CANARY: owners.experiment,
        Gate.PROMOTION: owners.release,
    }
    rows = [f"| {gate.value} | {QUESTIONS[gate]} | {answers[gate]} | {FALLBACKS[gate]} |" for gate in Gate]
    freezes = [f"- {freeze.start} to {freeze.end}: {freeze.reason}" for freeze in terms.cadence.freeze]
    ramp = ", ".join(str(stage) if stage == "shadow" else f"{stage:g} %" for stage in terms.experiment.ramp)
    return [
        "## Who answers for what",
        "",
        "| gate | question | owner | when it does not open |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Toggle: {terms.toggle.owner}. Ramp: {ramp}. Longest experiment: {format_duration(terms.experiment.max_duration)}.",
        *(["", "No launch and no promotion in these freezes:", "", *freezes] if freezes else []),
        "",
        *_rhythm(terms),
    ]


def _rhythm(terms: Contract) -> list[str]:
    cadence, rule = terms.cadence, terms.cadence.on_drift
    begins = [f"- on schedule: `{cadence.cron}` (UTC)"] if cadence.cron else []
    if rule is not None:
        limits = ", ".join(f"{name} above {limit:g}" for name, limit in rule.limits.items())
        windows = f"{rule.at_least} of the last {rule.of_last} windows of {format_duration(rule.window)}"
        begins.append(f"- on drift, in {windows}: {limits}")
    if not begins:
        return ["No retrain begins by itself."]
    lines = ["A retrain begins by itself:", "", *begins, ""]
    lines += [
        f"Not within {format_duration(cadence.min_interval)} of the last one the system launched, and not while one is under way."
    ]
    if rule is not None and cadence.cron:
        lines.append(f"Drift waits for the scheduled retrain when that is due within {format_duration(cadence.wait_for_cron)}.")
    if cadence.seasons:
        lines += ["", "Drift launches none in these days of every year:", ""]
        lines += [f"- {season.start} to {season.end}: {season.reason}" for season in cadence.seasons]
    if rule is not None:
        lines += [
            "",
            f"Alarms that were held back, and by what, are events of the asset `{terms.model}/drift_report` in Dagster.",
        ]
    return lines
