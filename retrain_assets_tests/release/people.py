"""People with keys of their own, and worlds whose contract names them."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import Contract
from retrain_assets.ledger import Actor, Namespace, sign
from retrain_assets.release.signing import Case, Signed

from .world import MODEL, PAUL, RUTH, World, contract

if TYPE_CHECKING:
    from asyncssh import SSHKey

KEY = "2013-07-01"


@cache
def key_of(name: str) -> SSHKey:
    """Somebody's Ed25519 key; the same in one process."""
    import asyncssh

    return asyncssh.generate_private_key("ssh-ed25519", comment=name)


def line_of(name: str, options: str = "", *, key: str | None = None) -> str:
    """Their line of an allowed-signers file."""
    public = key_of(key or name).export_public_key().decode().split()
    return " ".join([name, *([options] if options else []), *public[:2]])


def signers(*lines: str) -> str:
    """The text of an allowed-signers file: Ruth and Paul, unless lines are given."""
    return "\n".join(lines or (line_of(RUTH.name), line_of(PAUL.name))) + "\n"


def signed_contract(**approval: Any) -> Contract:
    """The contract of the worlds, with keys."""
    return contract(approval={"allowed_signers": signers(), **approval})


def signed_world(root: Path, **approval: Any) -> World:
    """A world whose contract names keys, its first champion bootstrapped with a signature."""
    world = World(root, contract=signed_contract(**approval))
    world.candidate("2013-04-01")
    case, _ = world.controller.bootstrap_case(world.contract, "2013-04-01", RUTH, "first model")
    world.controller.bootstrap(world.contract, "2013-04-01", RUTH, "first model", signed=by(RUTH, case, lasting=False))
    return world


def by(actor: Actor, case: Case, *, lasting: bool = True, until: datetime | None = None, **changes: Any) -> Signed:
    """A case, signed by somebody; for three days where it is to last, unless said otherwise."""
    statement = case.statement((until or case.now + timedelta(days=3)) if lasting else None)
    statement = replace(statement, **{name: value for name, value in changes.items() if name not in ("key", "namespace")})
    key = key_of(changes.get("key") or actor.name)
    return Signed(statement, sign(statement.bytes, key, changes.get("namespace") or Namespace.APPROVE))


def approve(world: World, actor: Actor = RUTH, reason: str = "clear win", **changes: Any) -> Any:
    """A signed approval, as a person gives it."""
    case, _ = world.controller.approval_case(MODEL, KEY, actor, reason)
    return world.controller.approve(MODEL, KEY, actor, reason, signed=by(actor, case, **changes))


def withdrawal(world: World, actor: Actor = RUTH, reason: str = "no") -> Case:
    """What has to be signed to take an approval back."""
    return world.controller.withdrawal_case(MODEL, KEY, actor, reason)[0]


def copied(world: World, root: Path) -> World:
    """The same world once more, in another home."""
    shutil.copytree(world.root, root)
    made = World(root, clock=replace(world.clock), contract=world.contract)
    known = made.registry
    known.versions = {name: root / path.relative_to(world.root) for name, path in world.registry.versions.items()}
    known.aliases, known.tags, known.heads = (
        dict(world.registry.aliases),
        deepcopy(world.registry.tags),
        dict(world.registry.heads),
    )
    return made
