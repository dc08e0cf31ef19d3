"""What to do at three in the morning with one model, from its contract, with the commands filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.contract import Contract, format_duration
from retrain_assets.reports.runbook_custody import afterwards, broken, handed_out, override, people, signing, silence, who_answers


def runbook(contract: Mapping[str, Any]) -> str:
    """The runbook of one model as Markdown.

    Args:
        contract: the release contract as JSON.

    Raises:
        pydantic.ValidationError: when it is not a contract.
    """
    terms = Contract.recorded(dict(contract))
    pages = (
        _head(terms),
        _first(terms),
        _stop(terms),
        _stop_everything(terms),
        _decide(terms),
        _expiry(terms),
        _hand_over(terms),
        override(terms, 7),
        afterwards(terms, 8),
        _repair(terms),
        people(terms, 10),
        silence(terms, 11),
        handed_out(terms, 12),
        _background(terms),
    )
    return "\n".join(line for page in pages for line in page) + "\n"


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
        f"retrain toggle list {terms.model}": "every toggle with owner, stage, age, expiry and debt",
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
        *signing(terms),
        "Once is enough, and two people at it do no harm: the same line again is refused, and names the command that takes the "
        "champion away as well.",
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


def _stop_everything(terms: Contract) -> list[str]:
    model = terms.model
    return [
        "## 3. Stop everything, keep it stopped",
        "",
        "The kill switch rolls the active toggle back and keeps challengers out until a person releases it; nothing is armed, "
        "stepped, put to approval or promoted meanwhile. `--all` instead of the model's name stops every model, those to come "
        "included. After a promotion the champion stays: that takes a rollback.",
        "",
        "```sh",
        f'retrain kill {model} --reason "what you saw, one sentence"',
        f'retrain kill {model} --release --reason "why it is safe again"',
        "```",
        "",
        "No shell on that machine? The gateway takes the same orders; the token needs the scope `operate`. A toggle that was "
        'promoted is rolled back only by its name: `{"reason": "…", "toggle": "NAME"}`.',
        "",
        "```sh",
        "export GATEWAY=http://127.0.0.1:8080 RETRAIN_TOKEN=rtn_…  # where retrain serve answers; from retrain token add",
        *(
            f'curl -sS -X {method} "$GATEWAY/v1/{path}" -H "Authorization: Bearer $RETRAIN_TOKEN" '
            f"""-H 'Content-Type: application/json' -d '{{"reason": "{why}"}}'"""
            for method, path, why in (
                ("POST", f"models/{model}/toggle/rollback", "what you saw"),
                ("POST", f"models/{model}/kill", "what you saw"),
                ("POST", "kill", "every model is wrong"),
                ("DELETE", f"models/{model}/kill", "why it is safe again"),
            )
        ),
        "```",
        "",
        "Days on which nothing may change, such as a move of the data centre; rolling back and holding always work:",
        "",
        "```sh",
        f'retrain freeze add {model} --from 2030-12-20 --to 2031-01-03 --reason "why"  # without a model: all of them',
        "retrain freeze list",
        'retrain freeze lift NUMBER --reason "why"',
        "```",
        "",
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
        "## 4. A challenger waits for approval",
        "",
        "Nothing breaks when it waits until morning: the champion or the last stage of the ramp goes on. To decide, read its "
        f"evidence pack first (`retrain audit show {terms.model} RETRAIN`), then:",
        "",
        "```sh",
        f'retrain approve {terms.model} RETRAIN --reason "why it may go live"',
        f'retrain reject {terms.model} RETRAIN --reason "why not"',
        f'retrain withdraw {terms.model} RETRAIN --reason "why not after all"  # takes your yes back',
        "```",
        "",
        f"Needed: {approval.required} of {', '.join(approval.approvers)}; "
        f"an approval holds for {format_duration(approval.valid_for)}, and lapses when what it was given on is judged anew.",
        *([f"One of each: {_roles(approval.roles)}."] if approval.roles else []),
        "",
    ]


def _roles(roles: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name} ({', '.join(having)})" for name, having in roles.items())


def _expiry(terms: Contract) -> list[str]:
    toggle = terms.toggle
    warned = [f"{format_duration(before)} before" for before in sorted(toggle.alert_before, reverse=True)]
    told = f"You are warned {_and(warned)}. " if warned else ""
    return [
        "## 5. A toggle is about to expire",
        "",
        f"{format_duration(toggle.expires_after)} after arming it rolls back by itself. That is safe: the champion answers "
        f"everybody, and the retrain is over. {told}Look whether the evidence will do (`retrain canary {terms.model}`), then do "
        f"one of these. It cannot be extended beyond {format_duration(toggle.remove_after)} after arming, nor once it expired.",
        "",
        "```sh",
        f'retrain toggle extend {terms.model} --by 7d --reason "why it needs longer"',
        f'retrain toggle rollback {terms.model} --reason "why it may end now"',
        "```",
        "",
    ]


def _hand_over(terms: Contract) -> list[str]:
    toggle = terms.toggle
    approvers = ", ".join(terms.approval.approvers)
    return [
        "## 6. Nobody answers for a toggle, or it is still there",
        "",
        f"A toggle is {toggle.owner}'s until somebody else accepts it. When an owner leaves, the toggle stands still; then an "
        f"approver ({approvers}) offers it. Every {format_duration(toggle.review_every)} somebody says that it is still needed; "
        f"later that is debt, as is one that is not gone {format_duration(toggle.remove_after)} after arming.",
        "",
        "```sh",
        'retrain owner left team:NAME --reason "why"',
        f'retrain toggle transfer {terms.model} --to OWNER --reason "why"',
        f'retrain toggle accept {terms.model} --reason "why you take it"  # by the new owner',
        f'retrain toggle review {terms.model} --reason "why it is still needed"',
        f"retrain toggle debt {terms.model}",
        'retrain toggle retire TOGGLE --reason "why it is done"',
        "```",
        "",
    ]


def _and(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _repair(terms: Contract) -> list[str]:
    return [
        "## 9. Repair",
        "",
        "`flags.json` is gone or old, an alias in the registry is wrong, a process was killed half-way: the ledger is the truth, "
        "everything else is made from it again.",
        "",
        "```sh",
        "retrain reconcile --everything",
        "retrain audit verify",
        "```",
        "",
        *broken(terms),
    ]


def _background(terms: Contract) -> list[str]:
    freezes = [f"- {freeze.start} to {freeze.end}: {freeze.reason}" for freeze in terms.cadence.freeze]
    ramp = ", ".join(str(stage) if stage == "shadow" else f"{stage:g} %" for stage in terms.experiment.ramp)
    return [
        "## Who answers for what",
        "",
        *who_answers(terms),
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
