"""What is derived from the ledger outside it: the flag document that serving reads, and the registry's aliases and tags.

Both can be rebuilt at any time. Each is written under a file lock, from a state read inside the lock, so that a slower process
never puts an older state over a newer one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from retrain_assets.release.platform import PlatformState
from retrain_assets.release.state import Ending, ModelState, RetrainState, ToggleState, ToggleStatus
from retrain_assets.routing import RoutingRule, flag_document


class RegistryProtocol(Protocol):
    """What a release needs of the model registry."""

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Point an alias at a version; None takes the alias away. Doing it again changes nothing."""
        ...

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version; others stay."""
        ...

    def carried_head(self, model: str, version: str) -> str | None:
        """The place in the ledger's chain that a version carries, ``SEQUENCE:HASH``; None where it carries none."""
        ...

    def set_head(self, model: str, version: str, head: str) -> None:
        """Have a version carry a place in the ledger's chain."""
        ...

    def download(self, model: str, version: str) -> Path:
        """The bundle directory of a registered version.

        Raises:
            RetrainError: when there is no such version.
        """
        ...


def flag_bytes(states: Mapping[str, ModelState], platform: PlatformState) -> bytes:
    """The flag document of the given states; the same states give the same bytes."""
    known = [state for state in states.values() if state.activation_sequence]
    rules = [routing_rule(state, killed=platform.kill_switch(state.model) is not None) for state in known]
    document = flag_document(rules, metadata={"ledger_sequence": shown_sequence(states, platform)})
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def shown_otherwise(path: Path, content: bytes) -> set[str]:
    """The models whose flag in a written document is another than in content to be written; all where none can be read."""
    flags = json.loads(content)["flags"]
    try:
        written = json.loads(path.read_bytes())["flags"]
        return {model for model in {*flags, *written} if flags.get(model) != written.get(model)}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return set(flags)


def shown_sequence(states: Mapping[str, ModelState], platform: PlatformState) -> int:
    """The last event that the flag document shows; 0 while no model has anything to route."""
    latest = max((state.activation_sequence for state in states.values()), default=0)
    return max(latest, platform.switch_sequence) if latest else 0


def routing_rule(state: ModelState, *, killed: bool = False) -> RoutingRule:
    """How a model's traffic is divided: by its active toggle, else by the newest one, until that is retired.

    Args:
        state: the model's.
        killed: a kill switch is engaged: the challenger gets nothing, also before its rollback is recorded.
    """
    toggle = state.active_toggle or next(iter([*state.toggles.values()][-1:]), None)
    if toggle is None or toggle.state is ToggleStatus.RETIRED:
        return RoutingRule(model=state.model, champion=state.champion)
    routed = toggle.active and not killed
    return RoutingRule(
        model=state.model,
        champion=state.champion,
        challenger=toggle.challenger,
        toggle=toggle.name,
        revision=toggle.stage_revision,
        stage=toggle.stage,
        salt=toggle.salt,
        share=toggle.share if routed else 0.0,
        cohort=toggle.contract["experiment"]["cohort"],
        expires_at=toggle.expires_at,
        state=str(toggle.state if routed or not toggle.active else ToggleStatus.ROLLED_BACK),
        cohort_share=toggle.contract["experiment"].get("cohort_share", 1.0),
    )


def aliases(state: ModelState) -> dict[str, str | None]:
    """Alias to version; None where the alias must not exist."""
    active = state.active_toggle
    return {
        "champion": state.champion.version if state.champion else None,
        "challenger": active.challenger.version if active else None,
    }


def version_tags(state: ModelState) -> dict[str, dict[str, str]]:
    """Tags by version: ``status``, ``retrain`` and, once armed, ``toggle``."""
    tags: dict[str, dict[str, str]] = {}
    for retrain in state.retrains.values():
        if retrain.candidate is not None:
            toggle = state.toggle_of(retrain.key)
            tags[retrain.candidate.version] = {
                "status": _version_status(state, retrain, toggle),
                "retrain": retrain.key,
                **({"toggle": toggle.name} if toggle else {}),
            }
    return tags


def write_flags(path: Path, content: bytes) -> bool:
    """Put the flag document in place by atomic rename, durably; False when it was right already."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid4().hex}")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def write_registry(
    registry: RegistryProtocol, states: Mapping[str, ModelState], before: Mapping[str, ModelState] | None
) -> tuple[str, ...]:
    """Set the aliases and tags that differ between two states.

    Args:
        registry: where they are set.
        states: the state to show.
        before: the state the registry shows as far as is known; None: everything is set again.

    Returns:
        What was set, as ``model@alias -> version`` and ``model/version status``.
    """
    done: list[str] = []
    for model, state in states.items():
        known = (before or {}).get(model, ModelState(model))
        known_tags, known_aliases = version_tags(known), aliases(known)
        for version, tags in version_tags(state).items():
            if known_tags.get(version) != tags:
                registry.set_tags(model, version, tags)
                done.append(f"{model}/{version} {tags['status']}")
        for alias, target in aliases(state).items():
            if known_aliases[alias] != target or (before is None and state.registry_sequence):
                registry.set_alias(model, alias, target)
                done.append(f"{model}@{alias} -> {target or 'nothing'}")
    return tuple(done)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; waits for the holder, is released when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _version_status(state: ModelState, retrain: RetrainState, toggle: ToggleState | None) -> str:
    if retrain.candidate == state.champion:
        return "champion"
    if toggle is not None:
        if toggle.active:
            return "challenger"
        if toggle.state is ToggleStatus.PROMOTED:
            return "previous_champion"
        if toggle.state is ToggleStatus.RETIRED and retrain.rejected is not None:
            return "rejected"
        return str(toggle.state)
    if any(reign.version == retrain.candidate for reign in state.champion_history):
        return "previous_champion"
    if retrain.ended in (Ending.STOPPED, Ending.FAILED, Ending.REJECTED):
        return str(retrain.ended)
    return "candidate"
