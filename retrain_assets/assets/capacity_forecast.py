"""Asset ``capacity_forecast``: what the next retrain is expected to take, from what those before it measured."""

from __future__ import annotations

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import digest_of
from retrain_assets.reports.capacity import forecast, measured, next_cutoff, over_budget, stage_rows
from retrain_assets.reports.capacity.plot import capacity_pictures


def capacity_forecast_asset(road: Road) -> dg.AssetsDefinition:
    """Duration and cost of the model's next retrain, growth of the data included; made behind every audit record."""

    @dg.asset(
        key=road.key("capacity_forecast"),
        deps=[road.key("audit_record")],
        code_version=road.code_version,
        description="Rows, time and cost of the next retrain, stage by stage: rows extrapolated over earlier cut-offs, time over "
        "rows, each with the interval it lies in nine times of ten. Says from how many retrains, and when they are too few.",
        group_name=road.model,
        owners=road.owners("capacity_forecast"),
        kinds=road.kinds("capacity_forecast"),
        tags=road.tags,
    )
    def capacity_forecast(platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        known = measured(platform.ledger.events(model=road.model), platform.evidence)
        found = forecast(known, road.contract, next_cutoff(road.contract, platform.clock.now()))
        refused = over_budget(found, road.contract)
        return dg.MaterializeResult(
            metadata={
                "forecast": found.sentence,
                "budget": refused.line if refused else "nothing known speaks against the limits of gate training",
                "stages": table(stage_rows(found), as_written=True),
                "rows": table(
                    [{"cut-off": f"{cutoff:%Y-%m-%d}", "rows": rows} for cutoff, rows in found.rows_of[::-1]], as_written=True
                ),
                "growth of rows in 30 days": "not known" if found.growth_a_month is None else f"{found.growth_a_month:+.1%}",
                "plots": dg.MetadataValue.md(capacity_pictures(found)),
                **({"not read": "; ".join(known.unread.values())} if known.unread else {}),
            },
            data_version=dg.DataVersion(digest_of(found.to_json())),
        )

    return capacity_forecast
