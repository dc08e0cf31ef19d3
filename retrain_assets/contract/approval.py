"""Who may approve a promotion, override a check or act in an emergency, with which keys, and what is asked besides people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import Owner, Period
from retrain_assets.contract.signers import AllowedSigner, allowed_signers, compared

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
People = Annotated[list[Text], Field(min_length=1)]


class PolicyHook(Part):
    """Something outside that has to allow a promotion. It gets the case as JSON and answers
    ``{"allow": true, "reasons": ["…"]}``; anything else, an error or silence is a no."""

    command: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="A program with its arguments; it reads the case from its standard input."
    )
    url: Annotated[str, StringConstraints(pattern=r"^(https?://\S+|\$\{[A-Z][A-Z0-9_]*\})$")] | None = Field(
        default=None, description="An address the case is posted to, or ${NAME} of the environment variable that holds it."
    )
    timeout: Period = Field(default=timedelta(seconds=10), description="How long an answer may take.")

    @property
    def shown(self) -> str:
        """The command or the address, as the contract writes it."""
        return self.url or " ".join(self.command or ())

    @rule
    def _one_of_both(self) -> PolicyHook:
        if (self.command is None) == (self.url is None):
            raise ValueError("policy: write either command or url")
        return self


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a policy hook answered.

    Args:
        allow: whether it lets the promotion happen; everything but a well-formed yes is a no.
        reasons: its reasons, or what was wrong with the answer.
        asked: digest of the case it was asked about.
        by: the command or the URL, as the contract writes it.
        at: when it was asked (clock time).
        evidence: digest of question and answer in the evidence store.
    """

    allow: bool
    reasons: tuple[str, ...]
    asked: str
    by: str
    at: datetime
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "reasons": list(self.reasons), "at": self.at.isoformat()}


class Approval(Part):
    """Who may approve a promotion, and how many it takes."""

    approvers: People = Field(description="Approvers' principals (e-mail addresses), as in the allowed-signers file.")
    allowed_signers: str | None = Field(
        default=None,
        description="The people's SSH public keys: the text of an OpenSSH allowed-signers file, as git uses, or one word: the "
        "path of such a file, seen from the contract's folder. With it every approval, override and order of a person must be "
        "signed; without it the record names people and proves nothing.",
    )
    required: Annotated[int, Field(ge=1)] = Field(default=1, description="Approvals needed, by different people.")
    roles: dict[Text, People] = Field(
        default_factory=dict,
        description="Roles with the approvers who have them; an approval by one of each is needed, and whoever has two roles "
        "speaks for both.",
    )
    separation_of_duties: bool = Field(
        default=True,
        description="Whoever launched the retrain, or owns its training, experiment or toggle, may approve, but somebody else "
        "must approve too.",
    )
    teams: dict[Owner, People] = Field(
        default_factory=dict, description="Members of the teams that own something, so that separation of duties can tell."
    )
    valid_for: Period = Field(description="How long an approval holds.")
    operators: list[Text] = Field(
        default_factory=list,
        description="Besides the approvers, who may hold, roll back and kill by hand. Empty: anybody.",
    )
    overrides: bool = Field(
        default=True, description="Whether two approvers together may let a named check pass that did not; never without a trace."
    )
    policy: PolicyHook | None = Field(default=None, description="What has to allow a promotion besides people.")

    @rule
    def _enough_approvers(self) -> Approval:
        people = len(folded(self.approvers))
        if self.required > people:
            raise ValueError(f"approval: required is {self.required} but only {people} approvers are named")
        for role, having in self.roles.items():
            if others := sorted(folded(having) - folded(self.approvers)):
                raise ValueError(f"approval.roles.{role}: {', '.join(others)} is no approver; add to approvers or remove it here")
        return self

    @rule
    def _everybody_has_a_key(self) -> Approval:
        if self.allowed_signers is None or self.signers_file is not None:
            return self
        signers = allowed_signers(self.allowed_signers)
        for who in (*self.approvers, *self.operators):
            if not any(one.names(who) for one in signers):
                raise ValueError(f"approval.allowed_signers: there is no key of {who}; add a line: {who} ssh-ed25519 AAAA…")
        return self

    @property
    def signed(self) -> bool:
        """Whether people sign."""
        return self.allowed_signers is not None

    @property
    def signers_file(self) -> str | None:
        """The file ``allowed_signers`` names, before it was read; None where the keys themselves stand there, or none."""
        words = (self.allowed_signers or "").split()
        return words[0] if len(words) == 1 else None

    def signers_of(self, principal: str) -> tuple[AllowedSigner, ...]:
        """The keys that sign for somebody; none while a file of keys is named that was not read."""
        if self.signers_file is not None:
            return ()
        return tuple(one for one in allowed_signers(self.allowed_signers or "") if one.names(principal))

    def signs_for(self, fingerprint: str | None, principal: str) -> bool:
        """Whether a key, by its fingerprint, may sign for somebody."""
        return fingerprint is not None and any(one.fingerprint == fingerprint for one in self.signers_of(principal))

    def one_hand(self, one: str, key: str | None, other: str, other_key: str | None) -> bool:
        """Whether two people may be one: the key that signed for one of them is, by the contract, the other's as well."""
        return self.signs_for(key, other) or self.signs_for(other_key, one)

    def members(self, owner: str) -> set[str]:
        """The people behind an owner, as they are compared: the members of a team and of the teams in it, or the person."""
        found, left = set[str](), [owner]
        while left:
            one = compared(left.pop())
            teams = [people for name, people in self.teams.items() if compared(name) == one]
            if one not in found:
                found.add(one)
                left += [member for people in teams for member in people]
        teams_named = folded(self.teams)
        return {one for one in found if one not in teams_named}


def folded(people: Iterable[str]) -> set[str]:
    """People as they are compared: without case, which mail addresses do not tell apart, and however they are encoded."""
    return {compared(one) for one in people}


def same_person(one: str, other: str) -> bool:
    """Whether two principals are one person."""
    return compared(one) == compared(other)


__all__ = ["Approval", "PolicyAnswer", "PolicyHook", "folded", "same_person"]
