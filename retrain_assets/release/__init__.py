"""The one door to activation: controller, toggle state machine, policy over recorded verdicts."""

from retrain_assets.release.controller import ReleaseController
from retrain_assets.release.debt import Debt, DebtKind, Way, toggle_debt
from retrain_assets.release.door import Reconciled
from retrain_assets.release.fold import fold
from retrain_assets.release.follow_ups import FollowUp, FollowUpKind, follow_up_view, follow_ups
from retrain_assets.release.orders import Credential
from retrain_assets.release.overrides import Override, overrides_in_force
from retrain_assets.release.platform import DeclaredFreeze, KillSwitch, OwnerLeft, PlatformState, fold_platform
from retrain_assets.release.platform_control import Engaged
from retrain_assets.release.projection import RegistryProtocol
from retrain_assets.release.questions import (
    audit_trail,
    debt_view,
    overrides_view,
    platform_view,
    recorded_evidence,
    retrain_view,
    status,
    toggle_view,
)
from retrain_assets.release.retrains import next_retrain_key
from retrain_assets.release.state import (
    ACTIVE,
    ApprovalRecord,
    CheckRecord,
    Decision,
    Ending,
    GateRecord,
    LookRecord,
    ModelState,
    Reign,
    RetrainState,
    ToggleState,
    ToggleStatus,
    TransferOffer,
    stage_label,
    stage_share,
)
from retrain_assets.release.toggle import Move
from retrain_assets.routing import VersionRef

__all__ = [
    "ACTIVE",
    "ApprovalRecord",
    "CheckRecord",
    "Credential",
    "Debt",
    "DebtKind",
    "Decision",
    "DeclaredFreeze",
    "Ending",
    "Engaged",
    "FollowUp",
    "FollowUpKind",
    "GateRecord",
    "KillSwitch",
    "LookRecord",
    "ModelState",
    "Move",
    "Override",
    "OwnerLeft",
    "PlatformState",
    "Reconciled",
    "RegistryProtocol",
    "Reign",
    "ReleaseController",
    "RetrainState",
    "ToggleState",
    "ToggleStatus",
    "TransferOffer",
    "VersionRef",
    "Way",
    "audit_trail",
    "debt_view",
    "fold",
    "fold_platform",
    "follow_up_view",
    "follow_ups",
    "next_retrain_key",
    "overrides_in_force",
    "overrides_view",
    "platform_view",
    "recorded_evidence",
    "retrain_view",
    "stage_label",
    "stage_share",
    "status",
    "toggle_debt",
    "toggle_view",
]
