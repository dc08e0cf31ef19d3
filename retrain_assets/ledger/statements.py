"""What a person puts their name to: one JSON value whose canonical bytes are signed, bound to one ledger and one case."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from retrain_assets.contract import SignatureError, canonical_json, digest_of
from retrain_assets.ledger.events import timestamp
from retrain_assets.ledger.signatures import Namespace

SCHEMA = "retrain_assets.statement/1"


class Act(StrEnum):
    """What a statement says is done."""

    APPROVE = "approve"
    WITHDRAW = "withdraw"
    REJECT = "reject"
    BOOTSTRAP = "bootstrap"
    OVERRIDE = "override"
    HOLD = "hold"
    ROLL_BACK = "roll_back"
    KILL = "kill"
    PROMOTE_CONTRACT = "promote_contract"

    @property
    def namespace(self) -> Namespace:
        """What its signature is given for."""
        return Namespace.OPERATE if self in (Act.HOLD, Act.ROLL_BACK, Act.KILL) else Namespace.APPROVE


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody signs.

    Args:
        act: what is done.
        ledger: hash of the first event of the ledger it is for, so that it counts nowhere else.
        model: the model.
        retrain: the retrain; None for an order about a model.
        toggle: the toggle; None where there is none.
        subject: what exactly: for an approval ``version``, ``bundle``, ``evidence``, ``valid_until``; for an override ``gate``,
            ``check``, ``bundle``, ``evidence``, ``valid_until``; for an order ``revision``.
        principal: who.
        reason: why.
        at: when (the ledger's clock).
        nonce: random, so that a statement counts once.
    """

    act: Act
    ledger: str
    model: str
    retrain: str | None
    toggle: str | None
    subject: Mapping[str, Any]
    principal: str
    reason: str
    at: datetime
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "schema": SCHEMA,
            "act": str(self.act),
            "ledger": self.ledger,
            "model": self.model,
            "retrain": self.retrain,
            "toggle": self.toggle,
            "subject": dict(self.subject),
            "principal": self.principal,
            "reason": self.reason,
            "at": timestamp(self.at),
            "nonce": self.nonce,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            SignatureError: for anything else, a field more or less among it.
        """
        try:
            made = cls(
                act=Act(value["act"]),
                ledger=value["ledger"],
                model=value["model"],
                retrain=value["retrain"],
                toggle=value["toggle"],
                subject=dict(value["subject"]),
                principal=value["principal"],
                reason=value["reason"],
                at=datetime.fromisoformat(value["at"]),
                nonce=value["nonce"],
            )
            if made.at.tzinfo is None:
                raise ValueError("its time has no timezone")
            texts = (made.ledger, made.model, made.principal, made.reason, made.nonce)
            if not all(isinstance(one, str) and one for one in texts):
                raise ValueError("its ledger, model, principal, reason and nonce are texts")
            if not all(one is None or isinstance(one, str) for one in (made.retrain, made.toggle)):
                raise ValueError("its retrain and toggle are texts or null")
            same = canonical_json(made.to_json()) == canonical_json(dict(value))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise SignatureError(f"it is not a statement ({error})", remedy="sign what retrain prints") from error
        if not same:
            raise SignatureError("it says more or less than a statement does", remedy="sign what retrain prints")
        return made

    @property
    def bytes(self) -> bytes:
        """What is signed: the canonical JSON (RFC 8785)."""
        return canonical_json(self.to_json())

    @property
    def digest(self) -> str:
        """``sha256:…`` of it."""
        return digest_of(self.to_json())
