"""Separation of duties: who has a stake in a promotion, and so cannot be the only one who approves it."""

from __future__ import annotations

from retrain_assets.contract.approval import folded
from retrain_assets.contract.contract import Contract
from retrain_assets.contract.errors import ContractError


def stakes(contract: Contract, launched_by: str | None = None, toggle_owner: str | None = None) -> dict[str, str]:
    """The people with a stake, as people are compared, each with what it is: ``owns its training``.

    A team stands for the members ``approval.teams`` names; of one it does not name nobody is known.

    Args:
        contract: the release contract.
        launched_by: the actor that launched the retrain, ``person:NAME`` or ``system:NAME``.
        toggle_owner: who owns the toggle now; who owned it by the contract keeps the stake.
    """
    approval, found = contract.approval, dict[str, list[str]]()
    if launched_by is not None and launched_by.startswith("person:"):
        found[next(iter(folded([launched_by.removeprefix("person:")])))] = ["launched the retrain"]
    owned = [
        ("training", contract.owners.training),
        ("experiment", contract.owners.experiment),
        ("toggle", contract.toggle.owner),
        *([("toggle", toggle_owner)] if toggle_owner is not None else []),
    ]
    for what, owner in owned:
        for person in sorted(approval.members(owner)):
            if f"owns its {what}" not in found.setdefault(person, []):
                found[person].append(f"owns its {what}")
    return {person: " and ".join(why) for person, why in found.items()}


def refuse_barred(contract: Contract) -> None:
    """Refuse a contract whose every approver has a stake, as nothing could ever be promoted under it.

    Raises:
        ContractError: naming the approvers and their stakes.
    """
    approval, known = contract.approval, stakes(contract)
    if approval.separation_of_duties and folded(approval.approvers) <= set(known):
        words = ", ".join(f"{one} {known[one]}" for one in sorted(folded(approval.approvers)))
        raise ContractError(
            f"every approver has a stake ({words}), so nothing could be promoted",
            where="approval.separation_of_duties",
            remedy="name an approver who owns neither training, experiment nor toggle, or write separation_of_duties: false",
        )


__all__ = ["refuse_barred", "stakes"]
