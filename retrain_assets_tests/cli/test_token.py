"""``retrain token``: given, listed and taken back by persons, recorded in the ledger, never printed twice."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, EventKind, Ledger
from retrain_assets.release.access import fold_tokens, sha256_of, tokens_path

from .conftest import Run, parsed
from .world import MODEL, RUTH, World

SERVICE = ("--actor", "system:checkout", "--scope", "predict")


@pytest.fixture
def ledger(retrain_home: Path) -> Ledger:
    """A home in which nothing has happened yet."""
    return Ledger(Home(retrain_home).ledger_url)


@pytest.fixture
def file(retrain_home: Path) -> Path:
    return tokens_path(Home(retrain_home))


def test_the_secret_is_printed_once_and_kept_nowhere(act: Run, run: Run, ledger: Ledger, file: Path) -> None:
    printed = act("token", "add", "checkout", *SERVICE).stdout
    (secret,) = re.findall(r"^secret: (rtn_[A-Za-z0-9_-]{43})$", printed, flags=re.MULTILINE)
    assert [one["sha256"] for one in json.loads(file.read_text())["tokens"]] == [sha256_of(secret)]
    assert secret not in run("token", "list").stdout + run("token", "list", "--json").stdout
    assert "sha256" not in run("token", "list", "--json").stdout
    for kept in file.parent.rglob("*"):
        assert not kept.is_file() or secret.encode() not in kept.read_bytes()


def test_two_tokens_never_have_the_same_secret(act: Run, ledger: Ledger) -> None:
    secrets = {parsed(act("token", "add", name, *SERVICE, "--json"))["secret"] for name in ("one", "two")}
    assert len(secrets) == 2


def test_the_file_is_readable_for_its_owner_alone(act: Run, ledger: Ledger, file: Path) -> None:
    act("token", "add", "checkout", *SERVICE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    act("token", "add", "another", *SERVICE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_giving_and_taking_are_in_the_ledger_with_person_and_reason(act: Run, ledger: Ledger) -> None:
    act("token", "add", "checkout", *SERVICE, "--scope", "outcomes", "--expires-after", "90d")
    act("token", "revoke", "checkout")
    given, taken = ledger.events(model=EVERY_MODEL)
    assert (given.kind, taken.kind) == (EventKind.TOKEN_ADDED, EventKind.TOKEN_REVOKED)
    assert {given.actor, taken.actor} == {RUTH}
    assert given.reason == "because of the test"
    assert given.payload["principal"] == "system:checkout"
    assert given.payload["scopes"] == ["outcomes", "predict"]
    assert taken.payload == {"token": "checkout"}
    assert not ledger.verify()


def test_list_shows_whose_it_is_what_it_allows_and_until_when(act: Run, run: Run, candidates: World) -> None:
    act("token", "add", "oncall", "--actor", RUTH.name, "--scope", "operate", "--model", MODEL, "--expires-after", "2d")
    act("token", "add", "checkout", *SERVICE)
    text = run("token", "list").stdout
    assert re.search(r"^oncall +person:ruth@example.org +operate +churn +2024-04-03 06:00 UTC", text, flags=re.MULTILINE)
    assert re.search(r"^checkout +system:checkout +predict +all +never", text, flags=re.MULTILINE)
    candidates.forward(days=2)
    assert "2024-04-03 06:00 UTC (expired)" in run("token", "list").stdout
    assert [one["expired"] for one in parsed(run("token", "list", "--json"))] == [True, False]


def test_other_commands_are_not_disturbed_by_tokens(act: Run, run: Run, candidates: World) -> None:
    act("token", "add", "checkout", *SERVICE)
    candidates.bootstrap()
    assert [one["model"] for one in parsed(run("status", "--json"))["models"]] == [MODEL]


def test_a_revoked_name_is_free_again_and_a_given_one_is_not(act: Run, ledger: Ledger, file: Path) -> None:
    first = parsed(act("token", "add", "checkout", *SERVICE, "--json"))["secret"]
    assert "there is a token of this name" in act("token", "add", "checkout", *SERVICE, code=1).stderr
    assert "revoked; it allowed predict for system:checkout" in act("token", "revoke", "checkout").stdout
    assert json.loads(file.read_text()) == {"tokens": []}
    assert "there is no such token" in act("token", "revoke", "checkout", code=1).stderr
    again = parsed(act("token", "add", "checkout", *SERVICE, "--json"))["secret"]
    assert [token.sha256 for token in fold_tokens(ledger.events()).values()] == [sha256_of(again)]
    assert again != first


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (("Check Out", *SERVICE), 1, "is not a name for a token"),
        (("checkout", "--actor", "ann", "--scope", "predict"), 1, "is not an e-mail address"),
        (("checkout", *SERVICE, "--expires-after", "0d"), 1, "it would expire at once"),
        (("checkout", *SERVICE, "--expires-after", "soon"), 2, "is not a duration"),
        (("checkout", *SERVICE, "--scope", "everything"), 2, "'everything' is not one of"),
        (("checkout", "--actor", "system:checkout"), 2, "missing option '--scope'"),
        (("checkout", *SERVICE, "--model", "chrun"), 3, "nothing is recorded about model 'chrun'"),
    ],
)
def test_a_token_nobody_could_mean_is_refused(
    act: Run, ledger: Ledger, file: Path, arguments: tuple[str, ...], code: int, fault: str
) -> None:
    assert fault in act("token", "add", *arguments, code=code).stderr
    assert not ledger.events()
    assert not file.exists()


def test_only_a_named_person_with_a_reason_gives_one(run: Run, ledger: Ledger) -> None:
    given = ("token", "add", "checkout", *SERVICE)
    assert "nobody is named" in run(*given, "--reason", "x", code=1).stderr
    assert "by persons, not by system:cron" in run(*given, "--reason", "x", "--as", "system:cron", code=1).stderr
    assert "a reason is missing" in run(*given, "--as", RUTH.name, code=2).stderr
    assert "a reason is missing" in run(*given, "--as", RUTH.name, "--reason", " ", code=1).stderr
    assert not ledger.events()


def test_a_home_without_a_ledger_gets_none(act: Run, run: Run, retrain_home: Path) -> None:
    assert "there is no ledger here" in act("token", "add", "checkout", *SERVICE, code=3).stderr
    assert parsed(run("token", "list", "--json")) == []
    assert not retrain_home.exists()


@pytest.mark.parametrize("damage", ["removed", "edited", "put back after a revocation"])
def test_the_file_is_made_anew_from_the_ledger(act: Run, run: Run, ledger: Ledger, file: Path, damage: str) -> None:
    act("token", "add", "checkout", *SERVICE)
    right = file.read_bytes()
    match damage:
        case "removed":
            file.unlink()
        case "edited":
            file.write_bytes(right.replace(b'"predict"', b'"operate"'))
        case _:
            act("token", "revoke", "checkout")
            right, old = file.read_bytes(), right
            file.write_bytes(old)
    assert "tokens.json was not what the ledger says" in run("token", "list").stderr
    assert file.read_bytes() == right
    assert not run("token", "list").stderr


@pytest.mark.parametrize("damage", ["changed", "missing", "readable for others", "given by nobody"])
def test_a_file_that_is_not_what_the_ledger_says_is_found_and_written_again(
    act: Run, run: Run, ramping: World, damage: str
) -> None:
    """A token written into the file by hand would be accepted by the gateway until the next start."""
    path = tokens_path(ramping.home)
    assert "tokens:      holds: 0 tokens in tokens.json" in run("audit", "verify").stdout
    if damage == "given by nobody":
        path.write_text('{"tokens": [{"name": "mine"}]}')
        path.chmod(0o600)
    else:
        act("token", "add", "checkout", *SERVICE)
        assert "tokens:      holds: 1 token in tokens.json" in run("audit", "verify").stdout
        {"changed": lambda: path.write_text(path.read_text().replace("predict", "operate")), "missing": path.unlink}.get(
            damage, lambda: path.chmod(0o644)
        )()
    told = run("audit", "verify", code=4)
    assert "audit verify: tokens broken: " in told.stderr
    assert "retrain reconcile writes it again" in told.stdout
    assert "tokens.json: written again from the ledger" in run("reconcile").stdout
    assert "tokens.json: is what the ledger says" in run("reconcile").stdout
    assert "tokens:      holds" in run("audit", "verify").stdout
