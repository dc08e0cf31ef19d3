"""Asking a contract's policy, a command or a URL, whether a promotion may happen. Whatever is not a well-formed yes is a no."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from socket import SHUT_RDWR
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from retrain_assets.contract import PolicyHook, canonical_json, digest_of
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.home import Clock
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release.projection import file_lock

PAUSE = timedelta(minutes=1)
"""How long the same case is not asked about again."""

LARGEST_ANSWER = 65536
"""Bytes of an answer; a longer one is none."""

ANSWER_SCHEMA = "retrain_assets.policy_answer/1"


class NoAnswer(Exception):
    """There is no answer, or none that says yes or no."""


class PolicyDesk:
    """Where policies are asked, and what they denied last about a model is remembered, over processes.

    What they allowed is not: whoever asked acts on it at once, and nothing on a disk may say yes in a policy's place.

    Args:
        folder: for what is remembered.
        evidence: where questions and answers go.
        clock: what time it is.
    """

    def __init__(self, folder: Path, evidence: EvidenceStore, clock: Clock) -> None:
        self.folder, self.evidence, self.clock = folder, evidence, clock

    def ask(self, hook: PolicyHook, case: dict[str, Any]) -> PolicyAnswer:
        """The answer to a case. The same case is not asked about twice within a minute: a no of then stands, and where there was
        a yes the answer is to come back later."""
        asked, now = digest_of(case), self.clock.now()
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder / ".lock"):
            before = self._remembered(case)
            if before is not None and abs(now - before[0]) < PAUSE:
                return before[1] or _no(asked, hook, now, "the policy was asked less than a minute ago; it is asked again then")
            self._remember(case, now, None)
        allow, reasons, text = answer_of(hook, case)
        document = {
            "schema": ANSWER_SCHEMA,
            "asked_of": hook.shown,
            "case": case,
            "answer": text,
            "allow": allow,
            "reasons": list(reasons),
        }
        answer = PolicyAnswer(allow, reasons, asked, hook.shown, now, self.evidence.put(document))
        if not allow:
            self._remember(case, now, answer)
        return answer

    def denied(self, case: dict[str, Any]) -> PolicyAnswer | None:
        """What was denied last about a case; None when nothing was, or another case of the model came after it."""
        before = self._remembered(case)
        return before[1] if before is not None else None

    def _remembered(self, case: dict[str, Any]) -> tuple[datetime, PolicyAnswer | None] | None:
        asked = digest_of(case)
        try:
            value = json.loads(self._file(case).read_bytes())
            at, denial = datetime.fromisoformat(value["at"]), value["denied"]
            if at.tzinfo is None or value["asked"] != asked:
                return None
            if denial is None:
                return at, None
            return at, PolicyAnswer(False, tuple(denial["reasons"]), asked, denial["by"], at, denial["evidence"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, case: dict[str, Any], at: datetime, denied: PolicyAnswer | None) -> None:
        scratch = self.folder / f".{uuid4().hex}"
        scratch.write_bytes(
            canonical_json({"asked": digest_of(case), "at": at.isoformat(), "denied": denied.to_json() if denied else None})
        )
        scratch.replace(self._file(case))

    def _file(self, case: dict[str, Any]) -> Path:
        """One a model, which has one challenger at a time; what was said about earlier cases stays in evidence."""
        return self.folder / f"{case['model']}.json"


def _no(asked: str, hook: PolicyHook, at: datetime, why: str) -> PolicyAnswer:
    return PolicyAnswer(False, (why,), asked, hook.shown, at, "")


def answer_of(hook: PolicyHook, case: dict[str, Any]) -> tuple[bool, tuple[str, ...], str]:
    """Whether a policy allows a case, its reasons, and its answer as text.

    A fault, silence beyond the hook's timeout, and everything that is not ``{"allow": true, "reasons": ["…"]}`` is a no.
    """
    question, seconds = canonical_json(case), hook.timeout.total_seconds()
    try:
        raw = (
            _of_command(hook.command, question, seconds) if hook.command else _of_url(_address(hook.url or ""), question, seconds)
        )
    except NoAnswer as error:
        return False, (str(error),), ""
    text = raw.decode("utf-8", "replace")
    try:
        return (*_read(raw), text)
    except NoAnswer as error:
        return False, (str(error),), text


def _read(raw: bytes) -> tuple[bool, tuple[str, ...]]:
    """Yes or no with reasons.

    Raises:
        NoAnswer: when it is neither.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_named_once)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"its answer is not JSON ({error})") from error
    if not isinstance(value, dict) or set(value) != {"allow", "reasons"} or not isinstance(value["allow"], bool):
        raise NoAnswer('its answer is not {"allow": true or false, "reasons": ["…"]}')
    reasons = value["reasons"]
    if not isinstance(reasons, list) or not all(isinstance(one, str) for one in reasons):
        raise NoAnswer("its reasons are not a list of texts")
    return value["allow"], tuple(reasons) or (() if value["allow"] else ("it gives no reason",))


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands there twice")
    return made


def _of_command(command: list[str], question: bytes, seconds: float) -> bytes:
    """What a command writes to its standard output, given the question on its standard input and next to no environment."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | {"LANG": "C.UTF-8"}
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryFile() as asked:
        asked.write(question)
        asked.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NoAnswer(f"the command cannot be run ({getattr(error, 'strerror', None) or error})") from error
        try:
            said, complaint = _heard(process, deadline)
            code = process.wait(max(deadline - time.monotonic(), 0.01))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise NoAnswer(f"the command did not answer within {seconds:g} s") from None
        finally:
            _end(process)
    if code:
        last = (complaint.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"])[-1]
        raise NoAnswer(f"the command ended with exit code {code} ({last[:200]})")
    return said


def _heard(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Everything of standard output, and the end of standard error.

    Raises:
        NoAnswer: when the output is too long.
        TimeoutError: when it is not over in time.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    heard: dict[IO[bytes], bytes] = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for stream in heard:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                if not (part := os.read(key.fd, LARGEST_ANSWER)):
                    selector.unregister(stream)
                    continue
                heard[stream] += part
                if stream is process.stderr:
                    heard[stream] = heard[stream][-1000:]
                elif len(heard[stream]) > LARGEST_ANSWER:
                    raise NoAnswer(f"its answer is longer than {LARGEST_ANSWER} bytes")
    return heard[process.stdout], heard[process.stderr]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever the command left running ends with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _address(url: str) -> SplitResult:
    if url.startswith("${"):
        name = url[2:-1]
        if not os.environ.get(name):
            raise NoAnswer(f"the environment variable {name}, which holds its address, is not set")
        url = os.environ[name]
    try:
        address = urlsplit(url.strip())
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("it is no http or https address")
        address.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise NoAnswer(f"its address cannot be used ({error})") from error
    return address


def _of_url(address: SplitResult, question: bytes, seconds: float) -> bytes:
    """What a server answers to the posted question; no redirect is followed, and no proxy asked."""
    found: list[bytes | Exception] = []
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = connect(address.hostname or "", address.port, timeout=seconds)

    def post() -> None:
        try:
            target = (address.path or "/") + (f"?{address.query}" if address.query else "")
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request("POST", target, question, headers)
            found.append(_body(connection.getresponse()))
        except (OSError, HTTPException, NoAnswer, ValueError) as error:
            found.append(error)

    asking = threading.Thread(target=post, name="policy", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        if connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(SHUT_RDWR)
        raise NoAnswer(f"it did not answer within {seconds:g} s")
    connection.close()
    answer = found[0]
    if isinstance(answer, NoAnswer):
        raise answer
    if isinstance(answer, TimeoutError):
        raise NoAnswer(f"it did not answer within {seconds:g} s")
    if isinstance(answer, Exception):
        raise NoAnswer(f"it cannot be reached ({getattr(answer, 'strerror', None) or answer or type(answer).__name__})")
    return answer


def _body(response: HTTPResponse) -> bytes:
    with response:
        if response.status != 200:
            raise NoAnswer(f"it answered with status {response.status}")
        body = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            raise NoAnswer(f"its answer is longer than {LARGEST_ANSWER} bytes")
        if response.length:
            raise NoAnswer("its answer ended too early")
    return body
