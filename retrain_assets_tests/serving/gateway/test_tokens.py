"""The gateway knows the tokens of the file as it is at that moment, and none where the file cannot be relied on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.home import Home, ReplayClock
from retrain_assets.ledger import EVERY_MODEL, Actor, EventKind, Ledger
from retrain_assets.release.access import Access, Scope, fold_tokens, sha256_of, tokens_path
from retrain_assets.serving.gateway.tokens import TokenFile

RUTH = Actor("person", "ruth@example.org")
SERVICE = Actor("system", "checkout")
START = datetime(2024, 4, 1, 6, tzinfo=UTC)


@pytest.fixture
def home(retrain_home: Path) -> Home:
    ReplayClock(Home(retrain_home).replay_clock_path).set(START)
    return Home(retrain_home)


@pytest.fixture
def access(home: Home) -> Access:
    return Access(home, Ledger(home.ledger_url), home.clock)


def give(access: Access, name: str = "checkout", **more: timedelta | list[str]) -> str:
    return access.add(name, SERVICE, [Scope.PREDICT], RUTH, "it asks for predictions", **more).secret  # type: ignore[arg-type]


def test_without_a_file_there_are_no_tokens(home: Home) -> None:
    file = TokenFile(home)
    assert file.find("rtn_x") is None
    assert file.problem() is None


def test_what_was_given_is_found_and_nothing_like_it(home: Home, access: Access) -> None:
    file = TokenFile(home)
    secret = give(access)
    found = file.find(secret)
    assert found is not None
    assert (found.name, found.actor, found.scopes) == ("checkout", SERVICE, {Scope.PREDICT})
    for other in ("", "rtn_", secret[:-1], secret + "x", secret.swapcase(), sha256_of(secret), "ü", "\udcff"):
        assert file.find(other) is None


def test_a_revocation_counts_from_the_next_question_on(home: Home, access: Access) -> None:
    file, secret = TokenFile(home), give(access)
    other = give(access, "another")
    assert file.find(secret) is not None
    access.revoke("checkout", RUTH, "it leaked")
    assert file.find(secret) is None
    assert file.find(other) is not None


def test_the_file_is_read_again_only_when_it_changed(home: Home, access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    file, secret = TokenFile(home), give(access)
    read, reads = TokenFile._read, []
    monkeypatch.setattr(TokenFile, "_read", lambda self: reads.append(1) or read(self))
    for _ in range(5):
        assert file.find(secret) is not None
    give(access, "another")
    file.find(secret)
    assert len(reads) == 2


def test_a_token_says_when_it_expired_by_the_clock_of_the_home(home: Home, access: Access) -> None:
    secret = give(access, expires_after=timedelta(days=2))
    found = TokenFile(home).find(secret)
    assert found is not None
    assert not found.expired(START + timedelta(days=2, microseconds=-1))
    assert found.expired(START + timedelta(days=2))
    assert TokenFile(home).clock.now() == START


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"tokens": [{}]}', '{"tokens": [{"name": 1}]}', '{"tokens": 3}', "\x00", '{"tokens": [null]}']
)
def test_a_damaged_file_lets_nobody_in_and_says_so(home: Home, access: Access, content: str) -> None:
    file, secret = TokenFile(home), give(access)
    assert file.find(secret) is not None
    tokens_path(home).write_text(content)
    with pytest.raises(RetrainError, match=r"tokens\.json: it is not what retrain writes .*; run: retrain token list"):
        file.find(secret)
    assert "it is not what retrain writes" in (file.problem() or "")
    access.project()
    assert file.find(secret) is not None
    assert file.problem() is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_lets_nobody_in(home: Home, access: Access, mode: int) -> None:
    file, secret = TokenFile(home), give(access)
    tokens_path(home).chmod(mode)
    with pytest.raises(RetrainError, match="others than its owner may write it"):
        file.find(secret)
    assert access.project()
    assert file.find(secret) is not None


def test_an_edited_expiry_that_is_no_moment_lets_nobody_in(home: Home, access: Access) -> None:
    file, secret = TokenFile(home), give(access, expires_after=timedelta(days=2))
    content = json.loads(tokens_path(home).read_text())
    content["tokens"][0]["expires_at"] = "2099-01-01T00:00:00"
    tokens_path(home).write_text(json.dumps(content))
    with pytest.raises(RetrainError, match="has no time zone"):
        file.find(secret)


def test_a_start_brings_the_file_up_to_the_ledger(home: Home, access: Access) -> None:
    """A process that recorded a revocation and died before it wrote the file leaves no token that still works."""
    secret = give(access)
    before = tokens_path(home).read_bytes()
    access.revoke("checkout", RUTH, "it leaked")
    tokens_path(home).write_bytes(before)
    assert TokenFile(home).find(secret) is not None
    assert TokenFile.open(home).find(secret) is None


def test_a_start_without_a_ledger_makes_none(retrain_home: Path) -> None:
    assert TokenFile.open(Home(retrain_home)).problem() is None
    assert not retrain_home.exists()


def test_a_ledger_that_does_not_answer_does_not_keep_a_gateway_from_starting(
    home: Home, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    secret = give(access)
    access.ledger.close()
    (home.root / "ledger.db").write_bytes(b"this is not a database, but it is long enough to be taken for one" * 20)
    assert TokenFile.open(home).find(secret) is not None
    assert "tokens.json may be behind the ledger" in caplog.text


def test_tokens_given_at_once_are_all_there(home: Home, access: Access) -> None:
    wanted = {f"token-{number}" for number in range(12)}

    def give_one(name: str) -> None:
        give(Access(home, Ledger(home.ledger_url), home.clock), name)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(give_one, wanted))
    assert set(access.tokens()) == wanted
    assert {one["name"] for one in json.loads(tokens_path(home).read_text())["tokens"]} == wanted
    assert not list(home.root.glob(".tokens.json.*"))


def test_a_name_is_given_once_even_where_two_ask_at_the_same_moment(home: Home, access: Access) -> None:
    class Overtaken(Ledger):
        def append(self, *arguments, **more):  # type: ignore[no-untyped-def]
            if not access.tokens():
                give(access)
            return super().append(*arguments, **more)

    with pytest.raises(RetrainError, match="there is a token of this name"):
        give(Access(home, Overtaken(home.ledger_url), home.clock))
    assert [event.kind for event in Ledger(home.ledger_url).events(model=EVERY_MODEL)] == [EventKind.TOKEN_ADDED]


def test_a_token_may_what_its_scopes_say_for_its_models(access: Access) -> None:
    give(access, models=["churn"])
    (token,) = fold_tokens(access.ledger.events()).values()
    assert token.may(Scope.PREDICT, "churn")
    assert not token.may(Scope.PREDICT, "fraud")
    assert not token.may(Scope.PREDICT)
    assert not token.may(Scope.OPERATE, "churn")
