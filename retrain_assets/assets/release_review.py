"""Asset ``release_review``: what an ended retrain teaches, about the plan, the gates, the way back and the contract."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import RetrainError
from retrain_assets.ledger import SYSTEM, Event, EventKind
from retrain_assets.release.anchoring import HEAD_METADATA, head_anchor
from retrain_assets.release.flag_times import flags_written_at
from retrain_assets.reports.release_review import Trace, contract_file, gain_plot, review_of, reviewed_until
from retrain_assets.reports.release_review.tables import review_tables
from retrain_assets.reports.standalone import markdown_image
from retrain_assets.serving.last_answers import last_answers

PLOTS = 3
"""Offline metrics whose gain is plotted against each success measure."""


def release_review_asset(road: Road) -> dg.AssetsDefinition:
    """The review of a retrain, in the decision job behind the audit record.

    Nothing waits for it: decision and record are made when it begins. A retrain that has not ended gets none.
    """

    @dg.asset(
        key=road.key("release_review"),
        deps=[road.key("audit_record")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        output_required=False,
        description="What an ended retrain teaches: did the cohort design hold, did the offline gain predict the online effect, "
        "how long did the way back take, which limit would have caught it earlier, what to change in the contract. Made for "
        "every ended retrain, and again when a promoted one is rolled back.",
        group_name=road.model,
        owners=road.owners("release_review"),
        kinds=road.kinds("release_review"),
        tags=road.tags,
    )
    def release_review(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        retrain = context.partition_key
        events = platform.ledger.events(model=road.model)
        if reviewed_until(events, retrain) is None:
            context.log.info(f"{retrain} has not ended; it is reviewed when it has")
            return
        trace = trace_of(platform, road.model, retrain, events, context)
        review = review_of(
            events,
            platform.evidence,
            road.model,
            retrain,
            contract=road.contract,
            file=contract_file(road.contract),
            trace=trace,
        )
        digest = platform.evidence.put(review)
        suggested = len(review["suggestions"]["changes"]) if review["suggestions"] else 0
        detail = {"finding": review["finding"], "suggestions": suggested}
        platform.controller.record_review(road.model, retrain, digest, detail, SYSTEM)
        yield dg.MaterializeResult(
            metadata={**review_metadata(review), "evidence": f"{digest[:19]}…", HEAD_METADATA: head_anchor(platform.ledger)},
            data_version=dg.DataVersion(digest),
        )

    return release_review


def trace_of(
    platform: Platform, model: str, retrain: str, events: list[Event], context: dg.AssetExecutionContext | None = None
) -> Trace | None:
    """What a rollback left outside the ledger; None without a rollback. Traffic that cannot be read is said, and left out."""
    own = [event for event in events if event.retrain == retrain]
    event = next((one for one in reversed(own) if one.kind is EventKind.ROLLED_BACK), None)
    registered = next((one for one in own if one.kind is EventKind.TOGGLE_REGISTERED), None)
    if event is None or registered is None:
        return None
    flags = flags_written_at(platform.home, event.sequence)
    try:
        answers = last_answers(platform.home, model, registered.payload["challenger"]["version"], event.at)
    except RetrainError as error:
        if context is not None:
            context.log.warning(f"the last answers are not known: {error.line}")
        return Trace(flags)
    return Trace(flags, answers.last_at, answers.after)


def review_metadata(review: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata in reading order: the finding, what is suggested, then the tables and plots."""
    suggested, earlier = review["suggestions"], review["earlier"]
    shown: dict[str, Any] = {"finding": review["finding"]}
    if suggested is not None:
        shown["suggestion"] = suggested["sentence"]
    if earlier is not None:
        shown["caught earlier"] = earlier["sentence"]
    shown["prediction"] = review["prediction"]["sentence"]
    if suggested is not None and suggested["diff"]:
        shown["change of the contract"] = dg.MetadataValue.md(f"```diff\n{suggested['diff']}```")
    if plots := "\n\n".join(_plots(review["prediction"])):
        shown["plots"] = dg.MetadataValue.md(plots)
    return {**shown, **{title: table(rows, as_written=True) for title, rows in review_tables(review).items()}}


def _plots(prediction: Mapping[str, Any]) -> Iterator[str]:
    for measure in prediction["measures"]:
        for gain in prediction["gains"][:PLOTS]:
            if (plot := gain_plot(prediction, gain, measure)) is not None:
                yield markdown_image(f"{gain} offline against {measure} online", plot)
