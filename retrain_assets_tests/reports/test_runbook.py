"""The runbook: exact commands with the model's name in them, the contract's owners, limits and durations."""

from __future__ import annotations

import json
import shlex
from base64 import b64decode
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from retrain_assets.cli.app import app
from retrain_assets.contract import Contract
from retrain_assets.home import Home
from retrain_assets.reports.runbook import runbook
from retrain_assets_tests.reports.sample import CONTRACT, MODEL


@pytest.mark.parametrize(
    "command",
    [
        f"retrain status {MODEL}",
        f"retrain canary {MODEL}",
        f'retrain toggle rollback {MODEL} --reason "',
        "export RETRAIN_ACTOR=",
        f'retrain toggle hold {MODEL} --reason "',
        f'retrain approve {MODEL} RETRAIN --reason "',
        f'retrain reject {MODEL} RETRAIN --reason "',
        "retrain reconcile --everything\n",
        f'retrain kill {MODEL} --reason "',
        f'retrain kill {MODEL} --release --reason "',
        f'curl -sS -X POST "$GATEWAY/v1/models/{MODEL}/toggle/rollback" -H "Authorization: Bearer $RETRAIN_TOKEN"',
        f"retrain freeze add {MODEL} --from ",
        f"retrain toggle extend {MODEL} --by 7d",
        f"retrain toggle transfer {MODEL} --to OWNER",
        f"retrain toggle accept {MODEL}",
        f"retrain toggle review {MODEL}",
        f"retrain toggle debt {MODEL}",
        "retrain audit verify",
        f"retrain override {MODEL} RETRAIN --check GATE.CHECK --reason ",
        f"retrain follow-up list {MODEL}",
        "retrain follow-up close NUMBER --reason ",
        f"retrain review {MODEL} RETRAIN",
        f"retrain withdraw {MODEL} RETRAIN --reason ",
        "retrain audit verify --system-key FILE.pub",
        "retrain audit checkpoint",
        f"retrain audit reproduce {MODEL} RETRAIN",
        f"retrain audit export {MODEL} RETRAIN --to ",
        f"retrain audit retention {MODEL}",
    ],
)
def test_every_command_stands_in_a_code_block(command: str) -> None:
    blocks = runbook(CONTRACT.to_json()).split("```")[1::2]
    assert any(command in block for block in blocks)


RUTH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5vcXdpbGxhbmRub2JvZHloYXNpdHNwcml2YXRlaGFs"
SIGNED = CONTRACT.model_copy(
    update={
        "approval": CONTRACT.approval.model_copy(
            update={"allowed_signers": f"{CONTRACT.approval.approvers[0]} {RUTH_KEY}\n", "operators": ["oona@flights.example"]}
        )
    }
)
"""The same with a key of the first approver, and an operator."""


def lines_of_code(contract: Contract = CONTRACT) -> list[str]:
    blocks = runbook(contract.to_json()).split("```")[1::2]
    return [line for block in blocks for line in block.splitlines()[1:] if line]


def test_every_command_is_one_that_there_is(retrain_home: Path) -> None:
    """Exit code 2 is a wrong command line; here there is no record, which is another answer."""
    stand_ins = {
        "NUMBER": "7",
        "OWNER": "team:new",
        "RETRAIN": "2013-07-01",
        "TOGGLE": f"{MODEL}-2013-07-01",
        "GATE.CHECK": "offline.slices_hold",
        "FILE.pub": "system.pub",
    }
    (retrain_home.parent / "system.pub").write_text("ssh-ed25519 AAAA nobody")
    commands = [line for contract in (CONTRACT, SIGNED) for line in lines_of_code(contract) if line.startswith("retrain ")]
    assert len(commands) > 60
    for command in dict.fromkeys(commands):
        words = [stand_ins.get(word, word) for word in shlex.split(command, comments=True)[1:]]
        found = CliRunner().invoke(app, words, env={"RETRAIN_ACTOR": "ruth@example.org"})
        assert found.exit_code != 2, f"{command}: {found.output}"


def test_every_order_to_the_gateway_is_one_that_it_takes(retrain_home: Path) -> None:
    from retrain_assets.serving.gateway import create_app

    paths = create_app(Home(retrain_home)).openapi()["paths"]
    orders = [shlex.split(line) for line in lines_of_code() if line.startswith("curl ")]
    assert len(orders) == 4
    for order in orders:
        path = order[4].removeprefix("$GATEWAY").replace(MODEL, "{model}")
        assert order[3].lower() in paths[path], path
        assert json.loads(order[-1])["reason"]


def test_it_says_who_is_told_without_what_is_secret_in_a_url() -> None:
    contract = CONTRACT.to_json()
    contract["notify"] = ["${CHAT_URL}", "slack://T0KEN/B1234/secret"]
    text = runbook(contract)
    assert "Who is told, of everything: `${CHAT_URL}`, `slack://…`." in text
    assert "T0KEN" not in text
    assert "Who is told: nobody" in runbook(CONTRACT.to_json())


def test_each_role_has_a_line_with_what_it_is_told_of_and_who_has_nobody_is_said() -> None:
    contract = CONTRACT.to_json()
    contract["notify"] = {"release": ["${CHAT_URL}"], "experiment": ["slack://T0KEN/B1234/secret"]}
    text = runbook(contract)
    assert "| `${CHAT_URL}` | approvals, promotions, rollbacks, expiry" in text
    assert "| `slack://…` | stages, holds, guardrails near their limit" in text
    assert "| nobody | gate training |" in text
    assert 'apprise -t "test" -b "test" "$CHAT_URL"' in text
    assert "Are CHAT_URL set there?" in text


def test_it_names_each_persons_key_by_its_fingerprint() -> None:
    from retrain_assets.contract import fingerprint_of

    text = runbook(SIGNED.to_json())
    approver, other = SIGNED.approval.approvers[:2]
    assert f"| {approver} | approve, reject, override, operate | `{fingerprint_of(b64decode(RUTH_KEY.split()[1]))}` |" in text
    assert f"| {other} | approve, reject, override, operate | no key |" in text
    assert "| oona@flights.example | hold, roll back, kill | no key |" in text
    assert f"retrain toggle rollback {MODEL} --unsigned" in text
    assert "--unsigned" not in runbook(CONTRACT.to_json())


def test_a_contract_without_overrides_names_no_command_for_them() -> None:
    contract = CONTRACT.to_json()
    contract["approval"]["overrides"] = False
    text = runbook(contract)
    assert "retrain override" not in text
    assert "This contract allows no overrides." in text


def test_it_tells_owners_limits_and_durations_of_this_contract() -> None:
    text = runbook(CONTRACT.to_json())
    assert "| data | Is this data fit to train on, and to judge on? | team:data-engineering |" in text
    assert "| missed_late_rate | guardrail | lower | harm above 0.05 absolute rolls back |" in text
    assert "| slow_rate | guardrail | lower | harm above 30.0% relative rolls back |" in text
    assert "30d after arming" in text
    assert "Ramp: shadow, 5 %, 25 %, 50 %, 100 %" in text
    assert "an approval holds for 3d" in text


def test_it_names_change_freezes_where_there_are_any() -> None:
    contract = CONTRACT.to_json()
    contract["cadence"]["freeze"] = [{"start": "2013-12-20", "end": "2014-01-02", "reason": "holidays"}]
    assert "- 2013-12-20 to 2014-01-02: holidays" in runbook(contract)
    assert "freezes" not in runbook(CONTRACT.to_json())


def test_what_is_not_a_contract_is_refused() -> None:
    with pytest.raises(ValidationError):
        runbook({"model": "x"})


def test_it_says_when_a_retrain_begins_by_itself_and_what_holds_it_back() -> None:
    contract = CONTRACT.to_json()
    rule = {"window": "14d", "limits": {"feature_psi": 0.2, "calibration_bias": 0.07}, "at_least": 3, "of_last": 4}
    seasons = [{"start": "12-20", "end": "01-05", "reason": "winter timetable"}]
    contract["cadence"] = {
        "min_interval": "35d",
        "on_drift": rule,
        "cron": "0 6 1 * *",
        "seasons": seasons,
        "wait_for_cron": "5d",
    }
    words = runbook(contract)
    assert "on schedule: `0 6 1 * *`" in words
    assert "in 3 of the last 4 windows of 14d: feature_psi above 0.2, calibration_bias above 0.07" in words
    assert "Not within 35d" in words
    assert "due within 5d" in words
    assert "- 12-20 to 01-05: winter timetable" in words
    contract["cadence"] = {"min_interval": "35d"}
    assert "No retrain begins by itself." in runbook(contract)
