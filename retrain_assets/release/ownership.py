"""Who answers for a toggle: offers to another owner, their acceptance by the receiving side, and the regular review.

Each function decides on the state in the drafts and adds the events of one action, or refuses.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from retrain_assets.contract import Refused
from retrain_assets.contract.quantities import Owner
from retrain_assets.ledger import EventKind
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.platform import principal
from retrain_assets.release.policy import require_move
from retrain_assets.release.ramping import known_toggle
from retrain_assets.release.state import ToggleState
from retrain_assets.release.toggle import Move

TEAM = "team:"
"""How an owner begins that is a team and not a person."""


def offer_transfer(drafts: Drafts, name: str, owner: str) -> None:
    """The present owner offers the toggle to another one; a new offer replaces the one before.

    Offering it to the present owner withdraws the pending offer. For an owner who left an approver of the contract offers it.
    The very offer that is pending adds nothing: it has been waiting since it was made.
    """
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.TRANSFER, drafts.actor, drafts.now, drafts.platform)
    require_owner(owner, name)
    _require_offerer(drafts, toggle)
    if principal(owner) == principal(toggle.owner):
        if toggle.offer is None:
            raise Refused(f"it is {toggle.owner}'s already", where=name, remedy="name another owner")
        drafts.move(EventKind.TRANSFER_OFFERED, toggle.retrain, name, {"owner": toggle.owner, "from": toggle.owner})
        return
    if (gone := drafts.platform.left(owner)) is not None:
        raise Refused(f"{owner} left on {gone.since:%Y-%m-%d} ({gone.reason})", where=name, remedy="name an owner who is there")
    if principal(owner) == principal(drafts.actor.name):
        raise Refused(
            "nobody takes a toggle over alone", where=name, remedy="have somebody else offer it to you, or offer it to your team"
        )
    if (offer := toggle.offer) is not None and (principal(offer.owner), principal(offer.by)) == (
        principal(owner),
        principal(drafts.actor.name),
    ):
        return
    drafts.move(EventKind.TRANSFER_OFFERED, toggle.retrain, name, {"owner": owner, "from": toggle.owner})


def accept_transfer(drafts: Drafts, name: str) -> None:
    """The receiving side takes the toggle over: that very person, or for a team a person other than the one who offered it."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.ACCEPT, drafts.actor, drafts.now, drafts.platform)
    offer, who = toggle.offer, drafts.actor.name
    assert offer is not None  # require_move: without an offer there is nothing to accept
    if (gone := drafts.platform.left(offer.owner)) is not None:
        raise Refused(
            f"{offer.owner} left on {gone.since:%Y-%m-%d} ({gone.reason})", where=name, remedy="have it offered to somebody else"
        )
    if not offer.owner.startswith(TEAM) and principal(who) != principal(offer.owner):
        raise Refused(f"it is offered to {offer.owner}, not to {who}", where=name, remedy=f"{offer.owner} accepts it")
    if principal(who) == principal(offer.by):
        raise Refused(
            f"{who} offered it; a transfer needs both sides", where=name, remedy=f"somebody else of {offer.owner} accepts it"
        )
    payload = {"owner": offer.owner, "from": toggle.owner, "offered_by": offer.by, "offer": offer.sequence}
    drafts.move(EventKind.TOGGLE_TRANSFERRED, toggle.retrain, name, payload)


def review(drafts: Drafts, name: str) -> None:
    """A person says that the toggle is still needed."""
    toggle = known_toggle(drafts, name)
    require_move(toggle, Move.REVIEW, drafts.actor, drafts.now, drafts.platform)
    drafts.move(EventKind.TOGGLE_REVIEWED, toggle.retrain, name, {"state": str(toggle.state)})


def require_owner(owner: str, where: str) -> None:
    """Refuse what is no owner.

    Raises:
        Refused: naming the forms an owner has.
    """
    try:
        TypeAdapter(Owner).validate_python(owner)
    except ValidationError as error:
        raise Refused(f"{owner!r} is not an owner", where=where, remedy="write team:NAME or an e-mail address") from error


def _require_offerer(drafts: Drafts, toggle: ToggleState) -> None:
    who = principal(drafts.actor.name)
    if (gone := drafts.platform.left(toggle.owner)) is not None:
        approvers = toggle.terms.approval.approvers
        if who not in {principal(approver) for approver in approvers}:
            raise Refused(
                f"its owner {toggle.owner} left on {gone.since:%Y-%m-%d}, and {drafts.actor.name} is not an approver",
                where=toggle.name,
                remedy=f"{' or '.join(approvers)} offers it",
            )
    elif not toggle.owner.startswith(TEAM) and who != principal(toggle.owner):
        raise Refused(
            f"it is {toggle.owner}'s, not {drafts.actor.name}'s",
            where=toggle.name,
            remedy=f"{toggle.owner} offers it; retrain owner left {toggle.owner} when nobody answers there any more",
        )
