"""The runbook's pages about custody: signing, overrides, follow-ups, a broken record, lost keys, silence, export."""

from __future__ import annotations

from collections.abc import Sequence

from retrain_assets.contract import Contract, ContractError, Gate, format_duration
from retrain_assets.contract.notify import Role
from retrain_assets.reports.gates import FALLBACKS, QUESTIONS


def signing(terms: Contract) -> list[str]:
    """How an order is signed at night, and that it goes without a key as well."""
    if not terms.approval.signed:
        return [
            "The contract names no keys: orders are taken by name, and the record proves nothing of who gave them.",
            "",
        ]
    return [
        "Orders are signed with your SSH key, the one of ssh-agent or `~/.ssh` that the contract names (else `--key FILE`). "
        "No key at hand? Do it all the same; it is recorded as unsigned, and a follow-up says so:",
        "",
        "```sh",
        f'retrain toggle rollback {terms.model} --unsigned --reason "what you saw, one sentence"',
        "```",
        "",
    ]


def override(terms: Contract, number: int) -> list[str]:
    """A gate is wrong, and two approvers say so."""
    model, approval = terms.model, terms.approval
    head = [f"## {number}. A gate stopped a retrain and is wrong", ""]
    if not approval.overrides:
        return [
            *head,
            "This contract allows no overrides. Mend the cause or change the contract, and launch a new retrain; the champion "
            "goes on serving meanwhile.",
            "",
        ]
    return [
        *head,
        "That can wait until morning: the champion goes on serving. Read what the check found. Two different approvers "
        f"({', '.join(approval.approvers)}) may let one named check count as passed; the first call is one of two. Every report "
        "shows it, and it opens a follow-up. Never for a check that ended in an error, nor for harm that was shown.",
        "",
        "```sh",
        f"retrain audit show {model} RETRAIN",
        f'retrain override {model} RETRAIN --check GATE.CHECK --reason "why the check is wrong"  # by each of the two',
        f'retrain override {model} RETRAIN --check GATE.CHECK --withdraw --reason "why not after all"',
        "```",
        "",
    ]


def afterwards(terms: Contract, number: int) -> list[str]:
    """What is left to do by daylight: follow-ups, and what the retrain teaches."""
    return [
        f"## {number}. By daylight",
        "",
        "A rollback by hand, a kill switch and an override leave a follow-up, which stays in every report until somebody says "
        "what the cause was. Of an override somebody closes it who did not sign it. Then read what the retrain teaches: which "
        "limit would have caught it earlier, and what to change in the contract.",
        "",
        "```sh",
        f"retrain follow-up list {terms.model}",
        'retrain follow-up close NUMBER --reason "what the cause was, and what was changed"',
        f"retrain review {terms.model} RETRAIN",
        f"retrain review {terms.model} RETRAIN --diff  # the change of the contract it suggests, for git apply",
        "```",
        "",
    ]


def broken(terms: Contract) -> list[str]:
    """What each kind of fault of ``audit verify`` means, and what to do."""
    return [
        "`audit verify` names the first fault. Serving goes on with the last flag document, and a rollback still works unless "
        "the chain's end or an event's form is damaged. Keep the files as they are, whatever it says.",
        "",
        "| it says | what it means | what to do |",
        "|---|---|---|",
        "| a broken link, a missing or a changed event | the database was changed | restore ledger and evidence from the last "
        "backup beside it, verify that, compare both |",
        "| an anchor the chain does not contain | history was rewritten, or a backup was put back | find the event it names in "
        "the registry's tag, in Dagster and in the checkpoint: two that agree are right |",
        "| a checkpoint or its key | signed by another key than it should be | verify with the public key you keep elsewhere |",
        "| evidence, a bundle or a pack | that file was changed or deleted | restore it by its name, which is its digest; "
        "promote nothing that rests on it |",
        "| flags.json, an alias | a copy is behind or was edited | `retrain reconcile --everything` |",
        "",
        "```sh",
        "retrain audit verify --system-key FILE.pub",
        "retrain audit checkpoint",
        f"retrain audit reproduce {terms.model} RETRAIN  # recomputes gates and decision from what is stored",
        "```",
        "",
    ]


def people(terms: Contract, number: int) -> list[str]:
    """A key is lost, or whoever has to say yes is away."""
    approval, model = terms.approval, terms.model
    spare = len(approval.approvers) - approval.required
    away = (
        f"{approval.required} of {len(approval.approvers)} approvers are needed, so {spare} may be away."
        if spare
        else f"All {approval.required} approvers are needed: when one is away, nothing is promoted."
    )
    lost = (
        [
            "A key is lost or stolen: take its line out of `approval.allowed_signers` (or end it with `valid-before`), add the "
            "new one, and tell the others. What was armed before has its terms frozen: roll it back if the key may be in wrong "
            "hands. An approval you did not give, withdraw:",
            "",
            "```sh",
            f'retrain withdraw {model} RETRAIN --reason "the key is lost"',
            f'retrain toggle rollback {model} --reason "an approver\'s key may be in wrong hands"',
            "```",
            "",
        ]
        if approval.signed
        else []
    )
    return [
        f"## {number}. A key is lost, an approver is away",
        "",
        *lost,
        f"{away} Nobody can say yes for somebody else. What waits stays divided as it is, and may be given time:",
        "",
        "```sh",
        f'retrain toggle extend {model} --by 3d --reason "an approver is away"',
        f'retrain toggle hold {model} --reason "an approver is away"',
        "```",
        "",
    ]


def silence(terms: Contract, number: int) -> list[str]:
    """Nobody was told of something that happened."""
    notify = terms.notify
    return [
        f"## {number}. Nobody was told",
        "",
        *(_listening(terms) if notify else ["`notify` is empty in the contract, so nobody is told. What waits is in:", ""]),
        "```sh",
        f"retrain status {terms.model}",
        f"retrain toggle debt {terms.model}",
        "```",
        "",
    ]


def _listening(terms: Contract) -> list[str]:
    """What to look at when notifications do not come, and how to try a service by hand."""
    variables = [one[2:-1] for one in terms.notify.services() if one.startswith("${")]
    unset = f" Are {', '.join(variables)} set there?" if variables else ""
    lines = [
        f"The sensor `retrain_upkeep_sensor` tells, once a minute. Does Dagster's daemon run, and the code location "
        f"load?{unset} What nobody took after five hours of trying is an observation of the asset `{terms.model}/toggle_debt`. "
        "The sensor's last tick says what went wrong, without what is secret in a URL.",
        "",
    ]
    if variables:
        typed = f'apprise -t "test" -b "test" "${variables[0]}"'
        lines += ["Try a service by hand, where the code location runs:", "", "```sh", typed, "```", ""]
    return [*lines, "What waits is here as well:", ""]


def handed_out(terms: Contract, number: int) -> list[str]:
    """Somebody outside wants proof."""
    return [
        f"## {number}. Somebody outside asks for the record",
        "",
        "The archive holds the record of one retrain, and a script that verifies it without this product. That it left the "
        f"house is recorded. Records are kept {format_duration(terms.retention.records)}, traffic with unit ids "
        f"{format_duration(terms.retention.traffic)} (class `{terms.retention.class_}`).",
        "",
        "```sh",
        f'retrain audit export {terms.model} RETRAIN --to "whom it is for" --reason "why they need it"',
        "retrain audit query --list",
        f"retrain audit retention {terms.model}",
        "```",
        "",
    ]


def who_answers(terms: Contract) -> list[str]:
    """Who answers for which gate, who may do what with which key, and who is told what."""
    owners = terms.owners
    answers = {
        Gate.DATA: owners.data,
        Gate.TRAINING: owners.training,
        Gate.OFFLINE: owners.evaluation,
        Gate.CANARY: owners.experiment,
        Gate.PROMOTION: owners.release,
    }
    rows = [f"| {gate.value} | {QUESTIONS[gate]} | {answers[gate]} | {FALLBACKS[gate]} |" for gate in Gate]
    return [
        "| gate | question | owner | when it does not open |",
        "|---|---|---|---|",
        *rows,
        "",
        "| person | may | signs with |",
        "|---|---|---|",
        *_people(terms),
        "",
        *_told(terms),
    ]


def _people(terms: Contract) -> list[str]:
    approval = terms.approval
    rows = [f"| {name} | approve, reject, override, operate | {_keys(terms, name)} |" for name in approval.approvers]
    operators = [name for name in approval.operators if name not in approval.approvers]
    rows += [f"| {name} | hold, roll back, kill | {_keys(terms, name)} |" for name in operators]
    if not approval.operators:
        signs = "a key the contract names, or `--unsigned`" if approval.signed else "nothing"
        rows.append(f"| anybody else | hold, roll back, kill | {signs} |")
    return rows


def _keys(terms: Contract, name: str) -> str:
    """The fingerprints of somebody's keys, as ``ssh-keygen -l`` shows them."""
    if not terms.approval.signed:
        return "nothing"
    try:
        found = [one.fingerprint for one in terms.approval.signers_of(name)]
    except (ContractError, ValueError):
        return "the file the contract names"
    return ", ".join(f"`{one}`" for one in found) or "no key"


TOLD_OF = {
    Role.DATA: "gate data, launched retrains",
    Role.TRAINING: "gate training",
    Role.EVALUATION: "gate offline, retrains that the cadence holds back, what reviews suggest",
    Role.EXPERIMENT: "stages, holds, guardrails near their limit, looks that cannot be judged, rollbacks, promotions, expiry",
    Role.RELEASE: "approvals, promotions, rollbacks, expiry, kill switches, freezes, overrides, follow-ups, debt, retrains that "
    "are launched or held back",
}
"""What each role is told of."""


def _told(terms: Contract) -> list[str]:
    """Who is told what, without what is secret in a URL."""
    notify = terms.notify
    if not notify:
        return ["Who is told: nobody; `notify` is empty in the contract.", ""]
    if not any(getattr(notify, role.value) for role in Role):
        return [f"Who is told, of everything: {_services(notify.everything)}.", ""]
    rows = [f"| {_services(notify.told_of(role)) or 'nobody'} | {TOLD_OF[role]} |" for role in Role]
    return ["| who is told | of what |", "|---|---|", *rows, ""]


def _services(written: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" if one.startswith("${") else f"`{one.partition('://')[0]}://…`" for one in written)
