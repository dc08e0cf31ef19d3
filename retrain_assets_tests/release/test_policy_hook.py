"""The policy hook: asked when everything else allows a promotion, outside the transaction, and a no unless it says yes."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Outcome, PolicyHook, digest_of
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.ledger import EventKind
from retrain_assets.release import Decision
from retrain_assets.release.policy_hook import LARGEST_ANSWER, answer_of

from .people import KEY, copied
from .world import MODEL, PAUL, RUTH, World, contract

YES, NO = '{"allow": true, "reasons": ["low risk"]}', '{"allow": false, "reasons": ["the risk board meets on Friday"]}'


@dataclass
class Script:
    """A policy that is a program: writes down what it was asked and does what the test wants."""

    folder: Path
    file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.folder / "policy.py"

    def does(self, code: str) -> PolicyHook:
        asked = self.folder / "asked"
        head = f"import json, os, sys, time\ncase = sys.stdin.read()\nopen({str(asked)!r}, 'a').write(case + '\\n')\n"
        self.file.write_text(head + code)
        return PolicyHook(command=[sys.executable, "-I", str(self.file)], timeout=timedelta(seconds=20))

    def answers(self, text: str) -> PolicyHook:
        return self.does(f"print({text!r})")

    @property
    def asked(self) -> list[dict[str, Any]]:
        path = self.folder / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@dataclass
class Server:
    """A policy that is a server; ``reply`` is called with the handler once the question was read."""

    url: str = ""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    reply: Callable[[BaseHTTPRequestHandler], None] = lambda handler: None

    def answers(self, text: str, status: int = 200, **headers: str) -> PolicyHook:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text.encode())

        self.reply = reply
        return PolicyHook(url=self.url, timeout=timedelta(seconds=20))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append((self.path, dict(self.headers), body))
            try:
                made.reply(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        made.url = f"http://127.0.0.1:{listening.server_address[1]}/promotions?team=a"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        listening.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def waiting_base(tmp_path_factory: pytest.TempPathFactory) -> World:
    terms = contract(approval={"policy": {"command": ["the-policy"], "timeout": "20s"}})
    world = World(tmp_path_factory.mktemp("policy") / "home", contract=terms)
    world.awaiting(KEY)
    return world


CASE = {"schema": "retrain_assets.policy_case/1", "model": MODEL}


class TestWhatIsAYes:
    def test_a_command_that_says_so(self, script: Script) -> None:
        allow, reasons, text = answer_of(script.answers(YES), CASE)
        assert (allow, reasons, json.loads(text)) == (True, ("low risk",), json.loads(YES))
        assert script.asked == [CASE]

    def test_a_server_that_says_so(self, server: Server) -> None:
        assert answer_of(server.answers(YES), CASE)[:2] == (True, ("low risk",))
        ((path, headers, body),) = server.asked
        assert (path, json.loads(body), headers["Content-Type"]) == ("/promotions?team=a", CASE, "application/json")

    def test_an_address_from_the_environment(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        server.answers(YES)
        hook = PolicyHook(url="${POLICY_URL}")
        assert answer_of(hook, CASE)[:2] == (False, ("the environment variable POLICY_URL, which holds its address, is not set",))
        monkeypatch.setenv("POLICY_URL", server.url)
        assert answer_of(hook, CASE)[0] is True


ANSWERS: dict[str, tuple[str, str]] = {
    "a no": (NO, "the risk board meets on Friday"),
    "a no without reasons": ('{"allow": false, "reasons": []}', "it gives no reason"),
    "nothing": ("", "not JSON"),
    "words": ("yes", "not JSON"),
    "another form": ("true", "is not {"),
    "a list": ("[true]", "is not {"),
    "a yes in a text": ('{"allow": "true", "reasons": []}', "is not {"),
    "a yes as a number": ('{"allow": 1, "reasons": []}', "is not {"),
    "no reasons": ('{"allow": true}', "is not {"),
    "more than asked": ('{"allow": true, "reasons": [], "but": "no"}', "is not {"),
    "no and yes": ('{"allow": false, "allow": true, "reasons": []}', "a name stands there twice"),
    "reasons in a text": ('{"allow": true, "reasons": "fine"}', "not a list of texts"),
    "reasons that are none": ('{"allow": true, "reasons": [1]}', "not a list of texts"),
    "two answers": (YES + YES, "not JSON"),
    "a deep nest": ("[" * 20000, "not JSON"),
}


class TestEverythingElseIsANo:
    @pytest.mark.parametrize("what", sorted(ANSWERS))
    def test_of_a_server(self, server: Server, what: str) -> None:
        text, why = ANSWERS[what]
        allow, reasons, _ = answer_of(server.answers(text), CASE)
        assert allow is False
        assert why in "; ".join(reasons)

    def test_of_a_command(self, script: Script) -> None:
        for text, why in (ANSWERS["a no"], ANSWERS["words"], ANSWERS["more than asked"]):
            allow, reasons, _ = answer_of(script.answers(text), CASE)
            assert (allow, why in "; ".join(reasons)) == (False, True)

    @pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 401, 403, 404, 500, 503])
    def test_any_status_but_200(self, server: Server, status: int) -> None:
        hook = server.answers("" if status == 204 else YES, status, Location=server.url)
        assert answer_of(hook, CASE)[:2] == (False, (f"it answered with status {status}",))
        assert len(server.asked) == 1, "no redirect is followed"

    def test_a_command_that_ends_with_a_fault_although_it_said_yes(self, script: Script) -> None:
        hook = script.does(f"print({YES!r}); sys.exit('the policy file is broken')")
        assert answer_of(hook, CASE)[:2] == (False, ("the command ended with exit code 1 (the policy file is broken)",))

    def test_a_command_that_is_not_there(self) -> None:
        assert answer_of(PolicyHook(command=["/nowhere/policy"]), CASE)[1] == (
            "the command cannot be run (No such file or directory)",
        )

    def test_a_server_that_is_not_there(self, server: Server) -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
            port = free.server_address[1]
        assert "cannot be reached" in answer_of(PolicyHook(url=f"http://127.0.0.1:{port}/"), CASE)[1][0]

    def test_a_command_that_does_not_answer_in_time_ends_with_its_children(self, script: Script, tmp_path: Path) -> None:
        started = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
        code = f"import subprocess\nopen({str(tmp_path / 'child')!r}, 'w').write(str({started}.pid))\ntime.sleep(600)"
        hook = script.does(code).model_copy(update={"timeout": timedelta(seconds=2)})
        assert answer_of(hook, CASE)[:2] == (False, ("the command did not answer within 2 s",))
        child = Path("/proc") / (tmp_path / "child").read_text() / "stat"
        for _ in range(1000):
            if not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.01)
        pytest.fail("what the command started goes on")

    def test_a_server_that_does_not_answer_in_time(self, server: Server) -> None:
        ended = threading.Event()
        server.reply = lambda _: ended.wait(20) and None
        hook = PolicyHook(url=server.url, timeout=timedelta(seconds=0.3))
        try:
            assert answer_of(hook, CASE)[:2] == (False, ("it did not answer within 0.3 s",))
        finally:
            ended.set()

    def test_a_server_that_drips(self, server: Server) -> None:
        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not ended.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()

        ended, server.reply = threading.Event(), drip
        hook = PolicyHook(url=server.url, timeout=timedelta(seconds=0.5))
        try:
            assert answer_of(hook, CASE)[:2] == (False, ("it did not answer within 0.5 s",))
        finally:
            ended.set()

    def test_a_huge_answer(self, server: Server, script: Script) -> None:
        huge = json.dumps({"allow": True, "reasons": ["x" * LARGEST_ANSWER]})
        why = (f"its answer is longer than {LARGEST_ANSWER} bytes",)
        assert answer_of(server.answers(huge), CASE)[:2] == (False, why)
        endless = script.does("while True: sys.stdout.write('x' * 65536)")
        assert answer_of(endless, CASE)[:2] == (False, why)

    def test_an_answer_that_ends_too_early(self, server: Server) -> None:
        def cut(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(YES) + 1))
            handler.end_headers()
            handler.wfile.write(YES.encode())
            handler.close_connection = True

        server.reply = cut
        assert answer_of(PolicyHook(url=server.url), CASE)[0] is False


def test_a_command_gets_next_to_no_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    hook = script.does('print(json.dumps({"allow": True, "reasons": sorted(os.environ)}))')
    allow, reasons, _ = answer_of(hook, CASE)
    assert allow
    assert {"PATH", "LANG"} <= set(reasons) <= {"PATH", "HOME", "LANG", "TMPDIR", "LC_CTYPE"}


class TestDecision:
    @pytest.fixture
    def waiting(self, waiting_base: World, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
        """A challenger that awaits approval, under a policy that says no."""
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        program = tmp_path / "the-policy"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -I {script.file}\n")
        program.chmod(0o755)
        script.answers(NO)
        return copied(waiting_base, tmp_path / "home")

    def decide(self, world: World) -> Decision:
        return world.another_controller().decide(MODEL, KEY)

    def test_it_is_asked_only_when_everything_else_allows_the_promotion(self, waiting: World, script: Script) -> None:
        decision = self.decide(waiting)
        assert (decision.decision, script.asked) == ("wait", [])
        found = {verdict.check: verdict for verdict in decision.verdicts}
        assert found["policy_allows"].outcome is Outcome.NO_DATA
        assert "approved by nobody yet" in decision.reason
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        self.decide(waiting)
        ((case),) = script.asked
        assert (case["model"], case["retrain"], case["challenger"]["bundle"]) == (
            MODEL,
            KEY,
            waiting.toggle(KEY).challenger.bundle,
        )
        assert [one["approver"] for one in case["approvals"]] == [RUTH.name]
        assert set(case["gates"]) == {"data", "training", "offline", "canary"}

    def test_a_no_waits_says_why_and_is_recorded_nowhere_as_a_decision(self, waiting: World) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        decision = self.decide(waiting)
        assert decision.decision == "wait"
        assert "does not allow it: the risk board meets on Friday" in decision.reason
        assert waiting.state.champion.version == "1"
        assert not waiting.ledger.events(kinds=[EventKind.DECISION_RECORDED], retrain=KEY)

    def test_a_yes_promotes_and_stands_in_verdict_and_event_with_what_was_asked(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        script.answers(YES)
        decision = self.decide(waiting)
        assert decision.decision == "promote"
        (promoted,) = waiting.ledger.events(kinds=[EventKind.PROMOTED])
        answer = promoted.payload["policy"]
        assert (answer["allow"], answer["reasons"]) == (True, ["low risk"])
        kept = waiting.evidence.get(answer["evidence"])
        assert (kept["case"], kept["answer"].strip()) == (script.asked[0], YES)
        assert answer["asked"] == digest_of(kept["case"])
        verdict = next(one for one in decision.verdicts if one.check == "policy_allows")
        assert verdict.passed
        assert verdict.evidence["answer"] == answer
        assert waiting.controller.decide(MODEL, KEY) == decision
        assert len(script.asked) == 1

    def test_the_same_case_is_not_asked_twice_within_a_minute_whoever_asks(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        for _ in range(3):
            assert "Friday" in self.decide(waiting).reason
        assert len(script.asked) == 1
        script.answers(YES)
        waiting.clock.forward(seconds=59)
        assert self.decide(waiting).decision == "wait"
        waiting.clock.forward(seconds=2)
        assert self.decide(waiting).decision == "promote"
        assert len(script.asked) == 2

    def test_another_case_is_asked_at_once(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        self.decide(waiting)
        waiting.controller.approve(MODEL, KEY, PAUL, "agreed")
        script.answers(YES)
        assert self.decide(waiting).decision == "promote"

    def test_a_yes_to_a_case_that_changed_meanwhile_promotes_nothing(self, waiting: World, script: Script) -> None:
        """The approval is withdrawn while the policy thinks; another approver's does not make the old answer good."""
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        file, controller = waiting.root / "go", waiting.another_controller()
        script.does(f"open({str(file)!r}, 'w').close()\nwhile os.path.exists({str(file)!r}): time.sleep(0.01)\nprint({YES!r})")
        made: list[Decision] = []
        deciding = threading.Thread(target=lambda: made.append(controller.decide(MODEL, KEY)))
        deciding.start()
        while not file.exists():
            deciding.join(0.01)
            assert deciding.is_alive()
        waiting.controller.withdraw(MODEL, KEY, RUTH, "a complaint came in")
        waiting.controller.approve(MODEL, KEY, PAUL, "I do")
        file.unlink()
        deciding.join()
        assert made[0].decision == "wait"
        assert waiting.state.champion.version == "1"

    def test_nothing_on_disk_may_say_yes_in_its_place(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        self.decide(waiting)
        (file,) = (waiting.root / "policy").glob("*.json")
        value = json.loads(file.read_text())
        value["denied"]["allow"] = True
        file.write_text(json.dumps(value))
        assert self.decide(waiting).decision == "wait"
        file.write_text("{}")
        assert self.decide(waiting).decision == "wait"
        assert len(script.asked) == 2, "what cannot be read is not remembered"

    def test_of_a_model_only_the_last_case_is_remembered(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        self.decide(waiting)
        waiting.controller.withdraw(MODEL, KEY, RUTH, "a complaint came in")
        waiting.controller.approve(MODEL, KEY, PAUL, "I do")
        assert self.decide(waiting).decision == "wait"
        assert len(script.asked) == 2, "another case is asked about at once"
        assert [path.name for path in (waiting.root / "policy").glob("*.json")] == [f"{MODEL}.json"]

    def test_the_gate_shows_the_last_no_without_asking(self, waiting: World, script: Script) -> None:
        waiting.controller.approve(MODEL, KEY, RUTH, "clear win")
        self.decide(waiting)
        found = {one.check: one for one in waiting.another_controller().promotion_verdicts(MODEL, KEY)}
        assert found["policy_allows"].outcome is Outcome.FAIL
        assert "Friday" in found["policy_allows"].message
        assert len(script.asked) == 1


def test_an_answer_is_json() -> None:
    from .world import START

    answer = PolicyAnswer(True, ("fine",), "sha256:a", "opa", START, "sha256:b")
    assert json.loads(json.dumps(answer.to_json()))["reasons"] == ["fine"]
