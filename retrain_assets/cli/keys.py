"""How a person signs an order: with which key, here by ``ssh-keygen``, or elsewhere, with statement and signature in files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import Order, actor_option, json_option
from retrain_assets.cli.show import say
from retrain_assets.contract import RetrainError, SignatureError, digest_of

if TYPE_CHECKING:
    from retrain_assets.contract import AllowedSigner, Approval
    from retrain_assets.ledger import Event, Statement
    from retrain_assets.release.signing import Case, Signed


@dataclass(frozen=True, slots=True)
class Hand:
    """How somebody signs.

    Args:
        key: file of the private key, or of the public key where the agent or a token has the private one.
        print_statement: print what is to be signed and do nothing else.
        handed: what was signed elsewhere.
    """

    key: Path | None = None
    print_statement: bool = False
    handed: Signed | None = None


def signing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that a person signs, handed to it as ``order`` and ``hand``.

    Reason and actor of a statement that was signed elsewhere stand in it and need not be typed again.
    """

    @click.option("--reason", metavar="TEXT", help="Why, in one sentence; goes into the ledger.")
    @actor_option
    @json_option
    @click.option(
        "--key",
        type=click.Path(path_type=Path),
        envvar="RETRAIN_SSH_KEY",
        metavar="FILE",
        help="Private SSH key to sign with, or the public one of a key in the agent. "
        "[default: $RETRAIN_SSH_KEY, else the one of ssh-agent or ~/.ssh that the contract names]",
    )
    @click.option(
        "--print-statement", is_flag=True, help="Print what is to be signed, to sign it elsewhere, and do nothing else."
    )
    @click.option("--statement", type=click.Path(path_type=Path), metavar="FILE", help="The printed statement, signed elsewhere.")
    @click.option(
        "--signature", type=click.Path(path_type=Path), metavar="FILE", help="Its signature, as ssh-keygen -Y sign wrote it."
    )
    @wraps(command)
    def signed(
        *args: Any,
        reason: str | None,
        principal: str | None,
        as_json: bool,
        key: Path | None,
        print_statement: bool,
        statement: Path | None,
        signature: Path | None,
        **more: Any,
    ) -> None:
        context = click.get_current_context()
        repository, revision, path = more.pop("from_git", None), more.pop("commit", "HEAD"), more.pop("path", None)
        if (statement is None) != (signature is None):
            raise click.UsageError("--statement and --signature go together", context)
        if sum((statement is not None, repository is not None, print_statement)) > 1:
            raise click.UsageError("of --statement, --from-git and --print-statement give one", context)
        handed = handed_in(statement, signature) if statement is not None and signature is not None else None
        if repository is not None:
            from retrain_assets.release.git_approval import default_path, signed_in_git

            handed = signed_in_git(repository, path or default_path(more["model"], more["retrain"]), revision)
        order = order_of(context, handed, reason, principal, as_json)
        command(*args, order=order, hand=Hand(key, print_statement, handed), **more)

    return signed


def order_of(context: click.Context, handed: Signed | None, reason: str | None, principal: str | None, as_json: bool) -> Order:
    """Who orders what and why; what is not typed is taken from the statement that was handed in."""
    if handed is not None:
        reason, principal = reason or handed.statement.reason, principal or handed.statement.principal
    if reason is None:
        parameter = next((one for one in context.command.params if one.name == "reason"), None)
        raise click.MissingParameter(ctx=context, param=parameter)
    return Order(reason, principal, as_json)


def signed_by(
    case: Case, terms: Approval, hand: Hand, order: Order, *, valid_until: datetime | None = None, hint: str = ""
) -> Signed | None:
    """What a person says about a case, signed; None where the contract names no keys.

    Prints what is signed before ``ssh-keygen`` asks for a passphrase or a touch.

    Args:
        case: what has to be said.
        terms: the approval terms it counts by.
        hand: how they sign.
        order: who, and how to answer.
        valid_until: until when it is to hold, for what holds for some time.
        hint: the command line that hands in what was signed elsewhere.

    Raises:
        SignatureError: no key at hand counts, naming those that would.
        click.exceptions.Exit: the statement was printed, which is all that was wanted.
    """
    from retrain_assets.ledger import sign_with_ssh_keygen
    from retrain_assets.release.signing import Signed

    if not terms.signed and (hand.print_statement or hand.handed):
        raise SignatureError(
            "the contract names no keys", where=case.model, remedy="leave signatures out; nobody could check them"
        )
    if hand.handed is not None:
        return hand.handed
    statement = case.statement(valid_until)
    if hand.print_statement:
        _print(statement, hint)
        raise click.exceptions.Exit(0)
    if not terms.signed or not case.actor.is_person:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        found = key_at_hand(case, terms, hand.key, Path(scratch))
        _say_what_is_signed(statement, found, order)
        armored = sign_with_ssh_keygen(statement.bytes, found.file, statement.act.namespace)
    return Signed(statement, armored)


def handed_in(statement: Path, signature: Path) -> Signed:
    """What was signed elsewhere, from the two files.

    Raises:
        RetrainError: a file cannot be read.
        SignatureError: the first is no statement.
    """
    from retrain_assets.ledger import Statement
    from retrain_assets.release.signing import Signed

    try:
        return Signed(Statement.from_json(json.loads(_read(statement))), _read(signature))
    except (ValueError, RecursionError) as error:
        raise SignatureError(
            f"it is not a statement ({error})", where=str(statement), remedy="hand in the file as --print-statement wrote it"
        ) from error


@dataclass(frozen=True, slots=True)
class KeyAtHand:
    """A key that counts.

    Args:
        file: what ``ssh-keygen -Y sign -f`` is given.
        fingerprint: its fingerprint; None where only signing tells.
        place: where it was found, in words.
    """

    file: Path
    fingerprint: str | None
    place: str


def key_at_hand(case: Case, terms: Approval, given: Path | None, scratch: Path) -> KeyAtHand:
    """The key to sign a case with: the one that is given, else the first of the agent and of ``~/.ssh`` that counts.

    Args:
        case: what is signed, by whom.
        terms: whose keys count.
        given: file of a key.
        scratch: folder for the public half of a key that only the agent has.

    Raises:
        SignatureError: when there is none, naming those that would count.
    """
    name, where = case.actor.name, f"{case.model} {case.retrain or case.toggle or ''}".strip()
    theirs = terms.signers_of(name)
    refusals = {one.fingerprint: one.refusal(case.act.namespace, case.now) for one in theirs}
    counting = [one.fingerprint for one in theirs if refusals[one.fingerprint] is None]
    known = ", ".join(f"{one} ({why})" if why else one for one, why in refusals.items()) or "none"
    if not counting:
        raise SignatureError(
            f"no key of {name} may sign it now", where=where, remedy=f"have the contract name one; keys of theirs: {known}"
        )
    if given is not None:
        return _given(given.expanduser(), counting, known, name)
    for fingerprint, line in _agent_keys():
        if fingerprint in counting:
            file = scratch / "key.pub"
            file.write_text(line + "\n", encoding="utf-8")
            return KeyAtHand(file, fingerprint, "ssh-agent")
    for file in sorted((Path.home() / ".ssh").glob("*.pub")):
        public = _public(file)
        if public is not None and public in counting:
            private = file.with_suffix("")
            return KeyAtHand(private if private.is_file() else file, public, str(file))
    raise SignatureError(
        f"no key of {name} is at hand, neither in ssh-agent nor in {Path.home() / '.ssh'}",
        where=where,
        remedy=f"add --key FILE, or sign elsewhere with --print-statement; keys that count: {', '.join(counting)}",
    )


def _given(file: Path, counting: list[str], known: str, name: str) -> KeyAtHand:
    if not file.is_file():
        raise RetrainError("there is no such key file", where=str(file), remedy=f"give the file of one of: {', '.join(counting)}")
    public = _public(file) or _public(file.with_name(file.name + ".pub"))
    if public is not None and public not in counting:
        raise SignatureError(
            f"key {public} is not one of {name}'s that count", where=str(file), remedy=f"keys of theirs: {known}"
        )
    return KeyAtHand(file, public, str(file))


def signature_json(events: Iterable[Event]) -> dict[str, Any]:
    """The signature of the first of some events that carries one, for output in JSON."""
    found = next((event.payload["signed"] for event in events if event.payload.get("signed")), None)
    if found is None:
        return {"signature": None}
    return {"signature": {"key": found["key"], "statement": digest_of(found["statement"]), "source": found["source"]}}


def _agent_keys() -> Iterator[tuple[str, str]]:
    """Fingerprint and line of every key the agent has; none without an agent."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return
    try:
        done = subprocess.run(["ssh-add", "-L"], capture_output=True, text=True, check=False, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        if (fingerprint := _fingerprint(line)) is not None:
            yield fingerprint, line


def _public(file: Path) -> str | None:
    """The fingerprint of a public key file; None for anything else."""
    try:
        return _fingerprint(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def _fingerprint(line: str) -> str | None:
    from retrain_assets.contract import allowed_signers

    try:
        found: tuple[AllowedSigner, ...] = allowed_signers(f"somebody {' '.join(line.split()[:2])}")
    except ValueError:
        return None
    return found[0].fingerprint


def _print(statement: Statement, hint: str) -> None:
    """The statement's bytes to stdout and nothing else there; on stderr how to sign them."""
    sys.stdout.flush()
    sys.stdout.buffer.write(statement.bytes)
    sys.stdout.buffer.flush()
    namespace = statement.act.namespace
    click.echo(
        f"retrain: note: sign these bytes as they are: ssh-keygen -Y sign -f KEY -n {namespace} FILE; then: retrain {hint} "
        "--statement FILE --signature FILE.sig",
        err=True,
    )


def _say_what_is_signed(statement: Statement, key: KeyAtHand, order: Order) -> None:
    subject = statement.subject
    told = {
        "act": f"{statement.act} {statement.model} {statement.retrain or statement.toggle or ''}".strip(),
        **{name: str(value) for name, value in subject.items() if isinstance(value, str | int)},
        "reason": statement.reason,
        "statement": statement.digest,
    }
    who = f"signing as {statement.principal} with key {key.fingerprint or 'of this file'} ({key.place})"
    asks = "ssh-keygen may ask for a passphrase, a PIN or a touch"
    if order.as_json:
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())
        click.echo(f"retrain: note: {who}: {words}; {asks}", err=True)
        return
    say(f"{who}; {asks}:")
    for name, value in told.items():
        say(f"  {name.replace('_', ' ')}: {value}")


def _read(file: Path) -> str:
    try:
        return file.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise RetrainError(f"it cannot be read ({why})", where=str(file), remedy="name the file that was written") from error
