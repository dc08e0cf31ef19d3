"""Each thing worth telling arrives once over HTTP and once by mail, says what to type next, and that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrain_assets.assets import Road
from retrain_assets.automation.cadence import Hold, Rule
from retrain_assets.automation.held_alarms import observation
from retrain_assets.cli.app import app
from retrain_assets.contract import Gate, Outcome
from retrain_assets.drift import DriftAlarm
from retrain_assets.experiment import MeasureResult, MeasureState, Plan
from retrain_assets.ledger import SYSTEM, Actor
from retrain_assets_tests.automation.inbox import Inbox, inbox
from retrain_assets_tests.automation.mailbox import Mailbox, mailbox
from retrain_assets_tests.automation.watch import RETRAIN, TOGGLE, Watch, contract_telling, watching
from retrain_assets_tests.release.world import MODEL, PAUL, RUTH

OPS = Actor("person", "ops@flights.example")


@dataclass
class Told:
    """A watched world whose people read an HTTP service and a mailbox."""

    watch: Watch
    box: Inbox
    mail: Mailbox

    def unread(self) -> None:
        """What happened up to here is told, and read."""
        self.watch.tick()
        self.box.messages.clear()
        self.mail.mails.clear()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    drift = {"on_drift": {"window": "14d", "limits": {"calibration_bias": 0.1}}}
    with inbox() as box, mailbox() as mail:
        contract = contract_telling(box.url(), mail.url(), cadence=drift)
        with watching(tmp_path, contract) as watch:
            watch.tick()
            yield Told(watch, box, mail)


def guardrail(watch: Watch, change: float, half: float, state: MeasureState = MeasureState.INCONCLUSIVE) -> dict[str, object]:
    """What a look says of the one guardrail, whose margin is 0.01."""
    spec = next(one for one in Plan.from_contract(watch.contract).measures if one.name == "error_rate")
    found = MeasureResult(
        spec, state, 0.002, 0.002 + change, change, change - half, change + half, None, None, None, 4000, 4000,
        f"error_rate {change:+g}", "asymptotic",
    )  # fmt: skip
    return {"results": [found.to_json()], "health": [], "segments": {}, "stages": []}


def launched(told: Told) -> None:
    told.watch.world.launch(RETRAIN)


def gate_passed(told: Told) -> None:
    told.watch.world.launch(RETRAIN)
    told.unread()
    told.watch.world.judge(RETRAIN, Gate.DATA)
    told.watch.world.judge(RETRAIN, Gate.DATA, features="sha256:f")
    told.watch.world.judge(RETRAIN, Gate.TRAINING)


def gate_failed(told: Told) -> None:
    told.watch.world.launch(RETRAIN)
    told.watch.world.judge(RETRAIN, Gate.DATA)
    told.unread()
    told.watch.world.judge(RETRAIN, Gate.OFFLINE, Outcome.FAIL)


def stage_failed(told: Told) -> None:
    told.watch.world.launch(RETRAIN)
    told.unread()
    told.watch.world.controller.record_stage_failure(MODEL, RETRAIN, "training", "the estimator ran out of memory")


def approval_wanted(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.look(RETRAIN, "ask_approval", "better on cost, guardrails hold")


def stage_changed(told: Told) -> None:
    told.watch.world.arm()
    told.watch.world.controller.step(TOGGLE, SYSTEM, "enter the ramp")
    told.unread()
    told.watch.world.look(RETRAIN, "step", "stage shadow has seen enough")


def guardrail_near(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.look(RETRAIN, "hold", **guardrail(told.watch, 0.006, 0.008))


def guardrail_past(told: Told) -> None:
    told.watch.world.ramp()
    told.watch.world.look(RETRAIN, "hold", **guardrail(told.watch, 0.006, 0.008))
    told.unread()
    told.watch.world.look(RETRAIN, "hold", **guardrail(told.watch, 0.03, 0.015, MeasureState.WORSE))


def rolled_back(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.look(RETRAIN, "roll_back", "error_rate is shown harmed", cause="harm")


def promoted(told: Told) -> None:
    told.watch.world.awaiting()
    told.unread()
    told.watch.world.controller.approve(MODEL, RETRAIN, RUTH, "clear win")
    assert told.watch.world.controller.decide(MODEL, RETRAIN).decision == "promote"


def about_to_expire(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.clock.forward(days=13)
    told.watch.world.controller.review(TOGGLE, RUTH, "still needed")
    told.watch.world.clock.forward(days=11)
    told.watch.tick()


def held_back(told: Told) -> None:
    world = told.watch.world
    world.bootstrap()
    told.unread()
    now = world.clock.now() + timedelta(days=1)
    alarm = DriftAlarm("calibration_bias", 0.2, 0.1, (now - timedelta(days=14), now), 2, 3)
    wait = Hold(Rule.MIN_INTERVAL, "the system launched a retrain on 2013-07-01", now + timedelta(days=6))
    seen = observation(Road(told.watch.contract), "1", [alarm], [wait], now, now + timedelta(days=6))
    told.watch.instance.report_runless_asset_event(seen)


def overridden(told: Told) -> None:
    controller = told.watch.world.controller
    gate_failed(told)
    told.unread()
    for who in (RUTH, PAUL):
        controller.override(MODEL, RETRAIN, "offline.holds", who, "the slice is ten flights")
    told.watch.tick()
    assert "not in force" not in told.mail.texts[-1], "the second word says it all"


def killed(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.controller.engage_kill_switch(MODEL, OPS, "prices are wrong")


def rolled_back_by_hand(told: Told) -> None:
    told.watch.world.ramp()
    told.unread()
    told.watch.world.controller.rollback(TOGGLE, OPS, "customers call")


Story = Callable[[Told], None]

STORIES: dict[Story, tuple[str, ...]] = {
    launched: ("[to know] flight_delay: retrain 2013-07-01 is launched", "retrain status flight_delay"),
    gate_passed: (
        "[to know] flight_delay: retrain 2013-07-01 passed gate data and gate training",
        "retrain audit show flight_delay 2013-07-01",
        "Gate data, features: its check holds.",
    ),
    gate_failed: (
        "[today] flight_delay: retrain 2013-07-01 did not pass gate offline: holds",
        "retrain audit show flight_delay 2013-07-01",
        "Of 1 check of gate offline 1 does not hold:\n- holds, fail: holds is fail.",
        '    retrain override flight_delay 2013-07-01 --check offline.holds --reason "why the check is wrong"',
        "the candidate stays registered and is not activated",
    ),
    stage_failed: (
        "[today] flight_delay: retrain 2013-07-01 failed in training: the estimator ran out of memory",
        "retrain audit show flight_delay 2013-07-01",
    ),
    approval_wanted: (
        "[today] flight_delay: retrain 2013-07-01 waits for approval",
        'retrain approve flight_delay 2013-07-01 --reason "why it may go live"',
        "better on cost, guardrails hold",
    ),
    stage_changed: (
        "[to know] flight_delay: retrain 2013-07-01 goes from shadow to 5 %",
        "retrain canary flight_delay 2013-07-01",
        "It answers 5 % of the cohort. Stage shadow has seen enough.",
    ),
    guardrail_near: (
        "[this week] flight_delay: retrain 2013-07-01 at 50 %: error rate is near its limit",
        'retrain toggle hold flight_delay-2013-07-01 --reason "what you want to find out"',
        "error_rate is near its limit: +0.006 [−0.002, +0.014], 60 % of the margin is used, on 8,000 units.",
    ),
    guardrail_past: (
        "[today] flight_delay: retrain 2013-07-01 at 50 %: error rate is shown past its limit",
        'retrain toggle rollback flight_delay-2013-07-01 --reason "what you saw"',
        "300 % of the margin is used",
    ),
    rolled_back: (
        "[today] flight_delay: retrain 2013-07-01 rolled back at 50 %: error_rate is shown harmed",
        "retrain status flight_delay",
        "Version 1 answers everybody",
    ),
    promoted: (
        "[to know] flight_delay: retrain 2013-07-01 is promoted, its challenger is champion",
        'retrain toggle rollback flight_delay-2013-07-01 --reason "what you saw"',
        "clear win",
    ),
    about_to_expire: (
        "[this week] flight_delay: toggle flight_delay-2013-07-01 expires in 5.9 days",
        'retrain toggle extend flight_delay-2013-07-01 --by 7d --reason "why it needs longer"',
    ),
    held_back: (
        "[this week] flight_delay: drift asks for a retrain, which is held back by min interval",
        "retrain status flight_delay",
        "the system launched a retrain on 2013-07-01",
    ),
    overridden: (
        "[now] flight_delay: OVERRIDE IN FORCE: offline.holds of retrain 2013-07-01 counts as passed by",
        'retrain override flight_delay 2013-07-01 --check offline.holds --withdraw --reason "why"',
        "the slice is ten flights",
        "retrain follow-up close 5",
    ),
    killed: (
        "[now] flight_delay: kill switch of flight_delay engaged: prices are wrong",
        'retrain kill --release flight_delay --reason "why it is safe"',
        "follow-up close",
    ),
    rolled_back_by_hand: (
        "[to know] flight_delay: retrain 2013-07-01 rolled back at 50 %: customers call",
        "retrain follow-up close",
    ),
}
"""Title, the command that matters, and what else the message says."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_it_arrives_once_over_http_and_by_mail_with_what_to_type_next(told: Told, story: Story, retrain_home: Path) -> None:
    title, command, *said = STORIES[story]
    story(told)
    for _ in range(3):
        told.watch.tick()
    over_http = [one for one in told.box.messages if one["title"].startswith(title)]
    by_mail = [text for text, subject in zip(told.mail.texts, told.mail.titles, strict=True) if subject.startswith(title)]
    assert len(over_http) == len(by_mail) == 1, (told.box.titles, told.mail.titles, told.watch.said)
    (message,), (text,) = over_http, by_mail
    assert text.strip() == message["message"].strip(), "the mail says what the other service was sent"
    assert f"\n    {command}" in text
    for one in said:
        assert one in text
    for line in re.findall(r"^    (retrain .*)$|^What else to do at night: (retrain .*)$", text, flags=re.MULTILINE):
        typed = CliRunner(env={"RETRAIN_ACTOR": RUTH.name}).invoke(app, shlex.split("".join(line))[1:])
        assert typed.exit_code != 2, (line, typed.output)


def test_a_guardrail_is_told_once_a_stage_and_again_when_it_comes_nearer_or_in_the_next_stage(told: Told) -> None:
    world = told.watch.world
    world.arm()
    world.controller.step(TOGGLE, SYSTEM, "enter the ramp")
    world.look(RETRAIN, "step")
    told.unread()
    near, past = guardrail(told.watch, 0.006, 0.008), guardrail(told.watch, 0.012, 0.02)
    for change in (near, near, past, near, past):
        world.look(RETRAIN, "hold", **change)
        told.watch.tick()
    assert [one.rpartition(": ")[2] for one in told.box.titles] == [
        "error rate is near its limit",
        "error rate is past its limit, by its estimate",
    ]
    world.look(RETRAIN, "step", **near)
    world.look(RETRAIN, "hold", **near)
    told.watch.tick()
    assert "at 50 %: error rate is near its limit" in told.box.titles[-1]


def test_a_look_that_cannot_be_judged_is_told_when_it_begins(told: Told) -> None:
    world = told.watch.world
    world.ramp()
    told.unread()
    since = (world.clock.now() + timedelta(hours=1)).isoformat()
    broken = {"name": "sample_ratio", "ok": False, "message": "the split does not fit", "observed": 0.0, "threshold": 0.005}
    for _ in range(3):
        world.look(RETRAIN, "hold", results=[], health=[broken], segments={}, stages=[], unusable_since=since)
        told.watch.tick()
    assert told.box.titles == ["[today] flight_delay: retrain 2013-07-01 at 50 %: the look cannot be judged"]
    assert "the split does not fit" in told.mail.texts[0]


def test_each_role_hears_what_concerns_it_and_nothing_else(tmp_path: Path) -> None:
    with inbox() as box:
        roles = ("data", "training", "evaluation", "experiment", "release", "everything")
        with watching(tmp_path, contract_telling(by_role={role: [box.url(role)] for role in roles})) as watch:
            watch.tick()
            watch.world.ramp()
            watch.world.look(RETRAIN, "roll_back", "hurts", cause="harm")
            watch.tick()
        said = {one["path"].removeprefix("/"): f"{one['title']}\n{one['message']}" for one in box.messages}
        assert sorted(said) == sorted(roles)
        assert len(box.messages) == len(roles)
    gates = ("gate data", "gate training", "gate offline")
    heard = {role: [gate for gate in gates if f"passed {gate}" in text or f"and {gate}" in text] for role, text in said.items()}
    assert (heard["data"], heard["training"], heard["evaluation"]) == (["gate data"], ["gate training"], ["gate offline"])
    assert heard["experiment"] == heard["release"] == []
    assert "passed gate data, gate training and gate offline" in said["everything"]
    assert [role for role in roles if "rolled back at 50 %" in said[role]] == ["experiment", "release", "everything"]
    assert [role for role in roles if "goes from" in said[role]] == ["experiment", "everything"]
    assert [role for role in roles if "is launched" in said[role]] == ["data", "release", "everything"]


def test_mail_that_is_put_off_or_never_answered_is_tried_again_and_told_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The road does not wait: the toggle is rolled back in the tick that tells it to nobody."""
    from retrain_assets.automation import telling

    send = telling.send
    monkeypatch.setattr(telling, "send", lambda letters: send(letters, seconds=0.4))
    told.watch.world.ramp()
    told.unread()
    told.mail.refuses = True
    told.box.answers.clear()
    rolled_back_by = told.watch.world.controller.rollback(TOGGLE, OPS, "customers call")
    assert rolled_back_by.state == "rolled_back"
    told.watch.tick()
    assert "no answer within 0.4 s; try 1 of 24" in told.watch.said
    assert "notify[1] mailto://…" in told.watch.said
    assert told.mail.mails == []
    told.box.answers.set()
    told.mail.refuses = False
    told.watch.world.clock.forward(minutes=2)
    for _ in range(3):
        told.watch.tick()
    assert len(told.mail.titles) == 1
    assert told.box.titles[-1] == told.mail.titles[0]


def test_no_secret_of_a_url_is_in_what_the_sensor_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "T0KENz9Qx77"
    with watching(tmp_path, contract_telling(f"json://user:{secret}@127.0.0.1:1/{secret}", f"slack://{secret}")) as watch:
        watch.tick()
        watch.world.ramp()
        watch.tick()
        said = watch.said
    shown = capfd.readouterr()
    assert "notify[0] json://…" in said
    assert "notify[1] slack://…" in said
    for text in (said, watch.cursor or "", shown.out, shown.err):
        assert secret not in text
