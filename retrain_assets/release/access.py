"""Who may call the gateway: tokens as the ledger records them, and ``tokens.json``, which the gateway reads, derived from it.

A token's secret is random and nowhere kept; ledger and file hold its SHA-256, from which it cannot be found.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

from retrain_assets.contract import Refused, StaleRevision
from retrain_assets.home import Clock, Home
from retrain_assets.ledger import EVERY_MODEL, Actor, Event, EventDraft, EventKind, Ledger, ModelMoved, timestamp
from retrain_assets.release.projection import file_lock

PREFIX = "rtn_"
"""Begins every secret, so that scanners of repositories and logs can tell one."""

SECRET_BYTES = 32
ATTEMPTS = 20

_KINDS = (EventKind.TOKEN_ADDED, EventKind.TOKEN_REVOKED)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Scope(StrEnum):
    """What a token allows."""

    PREDICT = "predict"
    """Predictions, flag evaluations, the state of toggles."""
    OUTCOMES = "outcomes"
    """Outcomes, and exposures of a service that serves its own models."""
    OPERATE = "operate"
    """Roll back, hold, kill switches."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token, without its secret.

    Args:
        name: what it is called; of the tokens that are not revoked only one has it.
        actor: on whose behalf it acts; what it does is recorded as theirs.
        scopes: what it allows.
        models: the models it is for; empty: all.
        sha256: hexadecimal SHA-256 of its secret.
        added_at: since when there is it.
        added_by: who gave it.
        reason: why.
        expires_at: from when it is refused; None: never.
    """

    name: str
    actor: Actor
    scopes: frozenset[Scope]
    models: frozenset[str]
    sha256: str
    added_at: datetime
    added_by: Actor
    reason: str
    expires_at: datetime | None

    def expired(self, now: datetime) -> bool:
        """Whether it is past its expiry."""
        return self.expires_at is not None and now >= self.expires_at

    def may(self, scope: Scope, model: str | None = None) -> bool:
        """Whether it allows something, for a model, or for every model where none is given."""
        return scope in self.scopes and (not self.models or model in self.models)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, as they stand in ``tokens.json``."""
        return {
            "name": self.name,
            "actor": str(self.actor),
            "scopes": sorted(self.scopes),
            "models": sorted(self.models),
            "sha256": self.sha256,
            "added_at": timestamp(self.added_at),
            "added_by": str(self.added_by),
            "reason": self.reason,
            "expires_at": timestamp(self.expires_at) if self.expires_at else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError, RetrainError: for anything else.
        """
        return cls(
            name=values["name"],
            actor=Actor.parse(values["actor"]),
            scopes=frozenset(map(Scope, values["scopes"])),
            models=frozenset(values["models"]),
            sha256=values["sha256"],
            added_at=_moment(values["added_at"]),
            added_by=Actor.parse(values["added_by"]),
            reason=values["reason"],
            expires_at=_moment(values["expires_at"]) if values["expires_at"] else None,
        )


class IssuedToken(NamedTuple):
    """A new token and its secret, which is known here and never again."""

    token: Token
    secret: str


class Access:
    """Gives and takes tokens: appends to the ledger, then writes ``tokens.json`` anew.

    Args:
        home: where the file is.
        ledger: the append-only record.
        clock: what time it is.
    """

    def __init__(self, home: Home, ledger: Ledger, clock: Clock) -> None:
        self.home, self.ledger, self.clock = home, ledger, clock

    def tokens(self) -> dict[str, Token]:
        """The tokens that are not revoked, by name; expired ones among them."""
        return fold_tokens(self._events())

    def add(
        self,
        name: str,
        principal: Actor,
        scopes: Collection[Scope],
        actor: Actor,
        reason: str,
        *,
        models: Collection[str] = (),
        expires_after: timedelta | None = None,
    ) -> IssuedToken:
        """Give a token.

        Args:
            name: what it is called.
            principal: on whose behalf it acts.
            scopes: what it allows.
            actor: the person who gives it.
            reason: why.
            models: the models it is for; none: all.
            expires_after: how long it holds; None: until it is revoked.

        Raises:
            Refused: for a name that is taken or none, no scope, no reason, a period that is none, or a giver who is no person.
        """
        _require_giver(actor, reason, name)
        if _NAME.fullmatch(name) is None:
            raise Refused(
                f"{name!r} is not a name for a token",
                remedy="write up to 64 small letters, digits, dots, dashes and underscores, such as checkout-service",
            )
        if not scopes:
            raise Refused("it would allow nothing", where=name, remedy=f"name a scope: {', '.join(Scope)}")
        if expires_after is not None and expires_after <= timedelta():
            raise Refused("it would expire at once", where=name, remedy="write a period such as 90d")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = self.clock.now()
        payload = {
            "token": name,
            "principal": str(principal),
            "scopes": sorted(scopes),
            "models": sorted(models),
            "sha256": sha256_of(secret),
            "expires_at": timestamp(now + expires_after) if expires_after is not None else None,
        }

        def plan(known: Mapping[str, Token]) -> EventDraft:
            if name in known:
                raise Refused(
                    "there is a token of this name", where=name, remedy=f"take another, or first: retrain token revoke {name}"
                )
            return EventDraft(now, actor, EventKind.TOKEN_ADDED, EVERY_MODEL, reason, payload=payload)

        return IssuedToken(fold_tokens([self._record(plan)])[name], secret)

    def revoke(self, name: str, actor: Actor, reason: str) -> Token:
        """Take a token back; from the next request on it is refused.

        Raises:
            Refused: when there is none of that name, no reason, or the actor is no person.
        """
        _require_giver(actor, reason, name)
        taken: list[Token] = []

        def plan(known: Mapping[str, Token]) -> EventDraft:
            if name not in known:
                raise Refused("there is no such token", where=name, remedy=f"tokens: {', '.join(known) or 'none'}")
            taken.append(known[name])
            return EventDraft(self.clock.now(), actor, EventKind.TOKEN_REVOKED, EVERY_MODEL, reason, payload={"token": name})

        self._record(plan)
        return taken[-1]

    def project(self) -> bool:
        """Bring ``tokens.json`` up to the ledger; False when it was right already, or there never was a token."""
        path = tokens_path(self.home)
        if token_fault(path, self._events()) is None:
            return False
        with file_lock(path.with_name(".tokens.lock")):
            events = self._events()
            if token_fault(path, events) is None:
                return False
            _write_private(path, token_bytes(events))
        return True

    def _record(self, plan: Callable[[Mapping[str, Token]], EventDraft]) -> Event:
        for _ in range(ATTEMPTS):
            events = self.ledger.events(model=EVERY_MODEL)
            draft = plan(fold_tokens(events))
            try:
                event = self.ledger.append(draft, expect_model=(EVERY_MODEL, events[-1].sequence if events else 0))
            except ModelMoved:
                continue
            self.project()
            return event
        raise StaleRevision(
            f"the record moved {ATTEMPTS} times while this was decided", where="tokens", remedy="repeat it when it is calmer"
        )

    def _events(self) -> list[Event]:
        return self.ledger.events(model=EVERY_MODEL, kinds=_KINDS)


def tokens_path(home: Home) -> Path:
    """The file the gateway reads."""
    return home.root / "tokens.json"


def fold_tokens(events: Iterable[Event]) -> dict[str, Token]:
    """The tokens that are not revoked after some events, by name; events of other kinds mean nothing here."""
    known: dict[str, Token] = {}
    for event in events:
        if event.kind is EventKind.TOKEN_REVOKED:
            known.pop(event.payload["token"], None)
        elif event.kind is EventKind.TOKEN_ADDED:
            given = event.payload
            known[given["token"]] = Token(
                name=given["token"],
                actor=Actor.parse(given["principal"]),
                scopes=frozenset(map(Scope, given["scopes"])),
                models=frozenset(given["models"]),
                sha256=given["sha256"],
                added_at=event.at,
                added_by=event.actor,
                reason=event.reason,
                expires_at=_moment(given["expires_at"]) if given["expires_at"] else None,
            )
    return known


def token_bytes(events: Iterable[Event]) -> bytes:
    """The content of ``tokens.json`` after some events; the same events give the same bytes."""
    known = [token.to_json() for token in fold_tokens(events).values()]
    return (json.dumps({"tokens": known}, indent=2, ensure_ascii=False) + "\n").encode()


def token_fault(path: Path, events: Iterable[Event]) -> str | None:
    """What is wrong with ``tokens.json`` after some events; None where it is what they say, and its owner's alone.

    Raises:
        OSError: when it is there and cannot be read.
    """
    recorded = [event for event in events if event.kind in _KINDS]
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except FileNotFoundError:
        return "it is missing" if recorded else None
    if content != token_bytes(recorded):
        return "it is not what the ledger says"
    return "others than its owner may read or write it" if mode & 0o077 else None


def sha256_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text} has no time zone")
    return moment


def _require_giver(actor: Actor, reason: str, where: str) -> None:
    if not reason.strip():
        raise Refused("a reason is missing", where=where, remedy="say why in one sentence")
    if not actor.is_person or not actor.name.strip():
        raise Refused(f"tokens are given and taken by persons, not by {actor}", where=where, remedy="have a person do it")


def _write_private(path: Path, content: bytes) -> None:
    """Put the file in place by atomic rename, durably, readable for its owner alone from its first byte on."""
    scratch = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    scratch.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
