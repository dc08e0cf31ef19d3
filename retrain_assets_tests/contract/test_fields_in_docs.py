"""The pages on gates and drift list every field that the contract has, with the default it has now."""

from __future__ import annotations

import pytest

from retrain_assets_tests.contract.fields_in_docs import DOCS, SECTIONS, section, table


@pytest.mark.parametrize("page", SECTIONS)
def test_the_table_of_fields_is_the_contract_s(page: str) -> None:
    stale = "stale: run python -m retrain_assets_tests.contract.fields_in_docs"
    assert section(page) in (DOCS / page).read_text(encoding="utf-8"), stale


def test_defaults_read_as_they_are_written_in_a_contract() -> None:
    rows = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in table(("gates", "cadence")).splitlines()}
    assert rows["`gates.data.min_rows`"] == "required"
    assert rows["`gates.data.max_missing`"] == "none"
    assert rows["`gates.training.max_duration`"] == "`1h`"
    assert rows["`gates.offline.slices.pairs`"] == "`false`"
    assert rows["`gates.offline.fairness[].min_support`"] == "`200`"
    assert rows["`gates.offline.metrics.NAME.max_regression`"] == "none"
    assert rows["`cadence.on_drift.limits`"] == "`{feature_psi: 0.1, prediction_psi: 0.1}`"
