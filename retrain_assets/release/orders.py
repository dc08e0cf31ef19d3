"""Orders of an emergency: hold, roll back, kill. Who may give one, and what vouches for it. Pure.

Where the contract names keys, a person signs. A token of the gateway vouches for whoever it was given to. An order that nothing
vouches for is possible all the same when it says so: nothing may stand between a person at three in the morning and a rollback.
It is recorded as such, and its follow-up says so until somebody closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Approval, Refused, SignatureError
from retrain_assets.contract.approval import folded
from retrain_assets.release.signing import Case, Signed, signed_payload

WITHOUT = "--unsigned: it is done at once, recorded as unsigned, and stays open as a follow-up until somebody closes it"
"""The way out when there is no key at hand."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What vouches for an order; nothing by default, which is enough where the contract names neither keys nor operators.

    Args:
        signed: the person's signature.
        token: name of the operate token the order came with, over HTTP.
        unsigned: that the person knows that nothing vouches for it.
    """

    signed: Signed | None = None
    token: str | None = None
    unsigned: bool = False


NOTHING = Credential()
"""No credential: what the system has, and a person where none is asked for."""


def order_payload(terms: Approval | None, case: Case, credential: Credential) -> dict[str, Any]:
    """What an order's event says about who stands behind it: ``signed``, ``credential``, ``unsigned`` (why), or nothing.

    Args:
        terms: who approves and operates, by the contract in force; None where none is known.
        case: what is ordered.
        credential: what vouches for it.

    Raises:
        Refused: for a person the contract names neither as approver nor as operator, unless the order says that it is unsigned.
        SignatureError: a signature is missing or is not right.
    """
    if credential.token is not None:
        return {"credential": {"token": credential.token}}
    if terms is None or not case.actor.is_person:
        return {}
    name, where = case.actor.name, f"{case.model} {case.toggle or ''}".strip()
    if not may_operate(terms, name):
        if credential.unsigned:
            return {"unsigned": f"{name} is no operator of it, and did not sign"}
        raise Refused(
            f"{name} is neither an approver nor an operator of {case.model}",
            where=where,
            remedy=f"ask {_whom(terms)}, or in an emergency add {WITHOUT}",
        )
    if not terms.signed:
        return {}
    if credential.signed is not None:
        return signed_payload(terms, case, credential.signed)
    if credential.unsigned:
        return {"unsigned": f"{name} did not sign, though the contract names keys"}
    known = ", ".join(one.fingerprint for one in terms.signers_of(name))
    raise SignatureError(
        f"the contract wants {name} to sign it",
        where=where,
        remedy=f"add --key FILE (theirs: {known}), or in an emergency {WITHOUT}",
    )


def may_operate(terms: Approval, name: str) -> bool:
    """Whether somebody may hold, roll back and kill: approvers and operators; without operators anybody, where the contract names
    keys anybody who has one."""
    if terms.operators:
        return bool(folded([name]) & folded(operators(terms)))
    return bool(folded([name]) & folded(terms.approvers)) or not terms.signed or bool(terms.signers_of(name))


def operators(terms: Approval) -> tuple[str, ...]:
    """Who may, by name; empty where nobody is named and anybody with a key may."""
    return tuple(dict.fromkeys([*terms.approvers, *terms.operators])) if terms.operators else ()


def _whom(terms: Approval) -> str:
    return " or ".join(operators(terms)) or "somebody whose key the contract names"
