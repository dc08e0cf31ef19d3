"""What of a signed approval is refused when it is handed in: another case, another key, another time, another form."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import SignatureError, canonical_json
from retrain_assets.ledger import Act, Namespace, Statement
from retrain_assets.release.signing import Signed, signed_payload

from .people import KEY, approve, by, line_of, signed_contract, signed_world, signers, withdrawal
from .world import EVE, MODEL, PAUL, RUTH, World

CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "another ledger": ({"ledger": "f" * 64}, "its ledger is"),
    "another model": ({"model": "arrival_delay"}, "its model is"),
    "another retrain": ({"retrain": "2013-08-01"}, "its retrain is"),
    "another toggle": ({"toggle": "flight_delay-2013-08-01"}, "its toggle is"),
    "another act": ({"act": "reject"}, "its act is"),
    "another person": ({"principal": PAUL.name}, "its principal is"),
    "another reason": ({"reason": "whatever"}, "its reason is"),
}

SUBJECT: dict[str, tuple[Any, str]] = {
    "version": ("7", "its version is"),
    "bundle": ("sha256:" + "0" * 64, "its bundle is"),
    "evidence": ("sha256:" + "0" * 64, "its evidence is"),
    "gates": ({}, "its gates is"),
    "more": ("than asked", "its more is"),
}


class TestRefused:
    def test_no_signature(self, waiting: World) -> None:
        with pytest.raises(SignatureError, match=f"wants {RUTH.name} to sign it; add --key FILE; keys of theirs: SHA256:"):
            waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        assert waiting.toggle(KEY).approvals == ()

    @pytest.mark.parametrize("what", sorted(CHANGED))
    def test_a_statement_of(self, awaiting_base: World, what: str) -> None:
        changes, message = CHANGED[what]
        case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        with pytest.raises(SignatureError, match=message):
            awaiting_base.controller.approve(MODEL, KEY, RUTH, "clear win", signed=by(RUTH, case, **changes))

    @pytest.mark.parametrize("what", sorted(SUBJECT))
    def test_a_statement_whose_subject_has_another(self, awaiting_base: World, what: str) -> None:
        value, message = SUBJECT[what]
        case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        subject = {**case.statement(case.now + timedelta(days=1)).subject, what: value}
        with pytest.raises(SignatureError, match=message):
            approve(awaiting_base, subject=subject)

    def test_a_key_that_is_not_theirs(self, awaiting_base: World) -> None:
        for other in (PAUL.name, EVE.name):
            with pytest.raises(SignatureError, match=r"given with key SHA256:\S+, which is not theirs; sign with one of: SHA"):
                approve(awaiting_base, key=other)

    def test_a_signature_for_something_else(self, awaiting_base: World) -> None:
        for namespace in (Namespace.OPERATE, Namespace.GIT, Namespace.EXPORT):
            with pytest.raises(SignatureError, match="not for 'approve@retrain-assets'"):
                approve(awaiting_base, namespace=namespace)

    def test_a_signature_with_a_bit_flipped(self, awaiting_base: World) -> None:
        case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        good = by(RUTH, case)
        lines = good.signature.strip().splitlines()
        packet = base64.b64decode("".join(lines[1:-1]))
        for place in range(0, len(packet), 7):
            spoilt = bytearray(packet)
            spoilt[place] ^= 1 << place % 8
            armored = "\n".join([lines[0], base64.b64encode(spoilt).decode(), lines[-1]])
            with pytest.raises(SignatureError):
                awaiting_base.controller.approve(MODEL, KEY, RUTH, "clear win", signed=Signed(good.statement, armored))
        assert awaiting_base.toggle(KEY).approvals == ()

    def test_a_statement_changed_after_it_was_signed(self, awaiting_base: World) -> None:
        case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        good = by(RUTH, case)
        changed = replace(good.statement, nonce="0" * 32)
        with pytest.raises(SignatureError, match="not of what it is said to be of"):
            awaiting_base.controller.approve(MODEL, KEY, RUTH, "clear win", signed=Signed(changed, good.signature))

    def test_a_statement_from_the_future(self, awaiting_base: World) -> None:
        with pytest.raises(SignatureError, match="yet to come; set the clock"):
            approve(awaiting_base, at=awaiting_base.clock.now() + timedelta(minutes=3))

    def test_a_statement_from_before_the_look_it_approves(self, awaiting_base: World) -> None:
        with pytest.raises(SignatureError, match="before what it is about"):
            approve(awaiting_base, at=awaiting_base.toggle(KEY).last_look.at - timedelta(minutes=3))

    def test_a_period_beyond_the_contracts(self, awaiting_base: World) -> None:
        with pytest.raises(SignatureError, match="the contract lets it until"):
            approve(awaiting_base, until=awaiting_base.clock.now() + timedelta(days=3, seconds=1))
        with pytest.raises(SignatureError, match="does not say until when it holds"):
            approve(awaiting_base, lasting=False)

    def test_a_statement_that_lapsed_before_it_was_handed_in(self, waiting: World) -> None:
        case, _ = waiting.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        signed = by(RUTH, case, until=case.now + timedelta(hours=1))
        waiting.clock.forward(hours=1, seconds=1)
        with pytest.raises(SignatureError, match="it lapsed at"):
            waiting.controller.approve(MODEL, KEY, RUTH, "clear win", signed=signed)

    def test_a_withdrawal_signed_long_ago(self, waiting: World) -> None:
        approve(waiting)
        signed = by(RUTH, withdrawal(waiting), lasting=False)
        waiting.clock.forward(minutes=16)
        with pytest.raises(SignatureError, match="too long ago"):
            waiting.controller.withdraw(MODEL, KEY, RUTH, "no", signed=signed)

    def test_a_statement_handed_in_by_somebody_else(self, awaiting_base: World) -> None:
        case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
        with pytest.raises(SignatureError, match="its principal is"):
            awaiting_base.controller.approve(MODEL, KEY, PAUL, "clear win", signed=by(RUTH, case))

    def test_a_signature_where_the_contract_names_no_keys(self, world: World) -> None:
        world.awaiting(KEY)
        with pytest.raises(SignatureError, match=r"names no keys; add approval.allowed_signers"):
            approve(world)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ('namespaces="git"', "the key may sign git, not approve@retrain-assets"),
            ('valid-after="20130801Z"', "the key signs from 2013-08-01 00:00 UTC on"),
            ('valid-before="20130601Z"', "the key signed until 2013-06-01 00:00 UTC"),
        ],
    )
    def test_a_key_that_may_not_sign_it_now(self, tmp_path: Path, options: str, message: str) -> None:
        lines = signers(line_of(RUTH.name, options), line_of(PAUL.name))
        world = World(tmp_path / "home", contract=signed_contract(allowed_signers=lines))
        world.candidate("2013-04-01")
        case, _ = world.controller.bootstrap_case(world.contract, "2013-04-01", PAUL, "first model")
        world.controller.bootstrap(world.contract, "2013-04-01", PAUL, "first model", signed=by(PAUL, case, lasting=False))
        world.awaiting(KEY)
        with pytest.raises(SignatureError, match=message):
            approve(world)

    def test_a_statement_dated_back_to_when_its_key_was_valid(self, tmp_path: Path) -> None:
        """The key lapsed an hour after the look; handed in later, a statement says it was signed before."""
        look_at = World(tmp_path / "probe").clock.now() + timedelta(hours=3)
        lines = signers(line_of(RUTH.name, f'valid-before="{look_at + timedelta(hours=1):%Y%m%d%H%M}Z"'), line_of(PAUL.name))
        world = signed_world(tmp_path / "home", allowed_signers=lines)
        world.awaiting(KEY)
        world.clock.forward(hours=2)
        with pytest.raises(SignatureError, match="the key signed until"):
            approve(world, at=world.clock.now() - timedelta(hours=1, minutes=30), until=world.clock.now() + timedelta(hours=1))


def test_a_statement_with_a_field_more_or_less_is_none(awaiting_base: World) -> None:
    case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
    value = json.loads(case.statement(case.now).bytes)
    assert Statement.from_json(value).bytes == canonical_json(value)
    for wrong in (
        {**value, "more": 1},
        {name: value[name] for name in value if name != "nonce"},
        {**value, "at": "2013-07-01T00:00:00"},
    ):
        with pytest.raises(SignatureError):
            Statement.from_json(wrong)


@pytest.mark.parametrize("name", ["ledger", "model", "retrain", "toggle", "principal", "reason", "nonce"])
def test_a_statement_with_a_field_of_another_type_is_none(awaiting_base: World, name: str) -> None:
    case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
    value = case.statement(case.now).to_json()
    for other in (5, True, ["x"], {"a": "b"}):
        with pytest.raises(SignatureError, match="it is not a statement"):
            Statement.from_json({**value, name: other})


def test_true_is_not_one(awaiting_base: World) -> None:
    """Which it is in Python."""
    case, terms = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
    case = replace(case, subject={"revision": 1}, act=Act.HOLD)
    signed = by(RUTH, case, lasting=False, subject={"revision": True}, namespace=Namespace.OPERATE)
    with pytest.raises(SignatureError, match="its revision is True, not 1"):
        signed_payload(terms, case, signed)


@pytest.mark.parametrize("until", [5, True, None, "2013-07-02", "2013-07-02T00:00:00", ["2013-07-02T00:00:00+00:00"]])
def test_a_period_in_another_form(awaiting_base: World, until: Any) -> None:
    case, _ = awaiting_base.controller.approval_case(MODEL, KEY, RUTH, "clear win")
    with pytest.raises(SignatureError, match="does not say until when it holds"):
        approve(awaiting_base, subject={**case.subject, "valid_until": until})
