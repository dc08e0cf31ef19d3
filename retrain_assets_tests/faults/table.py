"""All faults, in the order of the road, by the part of the world they come from."""

from __future__ import annotations

from retrain_assets_tests.faults import candidate_faults, code_faults, label_faults, schema_faults, time_faults, value_faults
from retrain_assets_tests.faults.fault import Fault

FAMILIES: dict[str, tuple[Fault, ...]] = {
    "Files and columns": schema_faults.FAULTS,
    "Time": time_faults.FAULTS,
    "Values": value_faults.FAULTS,
    "Labels": label_faults.FAULTS,
    "Feature code": code_faults.FEATURES,
    "Training": code_faults.TRAINING,
    "Candidate and evaluation": candidate_faults.FAULTS,
}
FAULTS: tuple[Fault, ...] = tuple(fault for family in FAMILIES.values() for fault in family)
