"""The pack's plots as Markdown images that stand alone, for the Dagster UI and other places without the page's style."""

from __future__ import annotations

from typing import Any

from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore, Ledger
from retrain_assets.reports.evaluation_plots import backtest_plot, reliability_plot, slice_plot
from retrain_assets.reports.forest_plot import forest_plot
from retrain_assets.reports.interval_plot import interval_plot
from retrain_assets.reports.pack import pack_of
from retrain_assets.reports.ramp_strip import ramp_strip
from retrain_assets.reports.standalone import markdown_image


def evaluation_pictures(home: Home, model: str, retrain: str) -> str:
    """Reliability of the candidate's scores, its slices and back-tests, as Markdown; empty when gate offline is not judged.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    evaluation = _pack(home, model, retrain)["evaluation"]
    if evaluation is None:
        return ""
    pictures = []
    if evaluation["calibration"] is not None:
        pictures.append(markdown_image("Calibration on the hold-out", reliability_plot(evaluation["calibration"])))
    if (slices := slice_plot(evaluation["slices"])) is not None:
        pictures.append(markdown_image("Slices, candidate against champion", slices))
    if evaluation["backtests"] is not None and (tested := backtest_plot(evaluation["backtests"])) is not None:
        pictures.append(markdown_image("Back-tests over time, and the candidate on the hold-out", tested))
    return "\n\n".join(pictures)


def canary_pictures(home: Home, model: str, retrain: str) -> str:
    """The ramp, the interval of every measure over time, and the segments that matter, as Markdown; empty before the first look.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    pack = _pack(home, model, retrain)
    ramp = pack["ramp"]
    if not ramp or ramp["summary"] is None:
        return ""
    drawn = [("The ramp, matured units champion / challenger", ramp_strip(ramp["stages"], ramp["planned"], pack["as_of"]["at"]))]
    drawn += [(f"{one['name']}, challenger against champion", interval_plot(ramp, one)) for one in ramp["measures"]]
    drawn += [
        (f"{table['name']} by segment, hollow by itself, full shrunk towards all units", forest_plot(table))
        for table in ramp["summary"]["segments"]
        if table["role"] == "success" or table["segment_margin"] is not None
    ]
    return "\n\n".join(markdown_image(name, plot) for name, plot in drawn if plot is not None)


def _pack(home: Home, model: str, retrain: str) -> dict[str, Any]:
    return pack_of(Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), home, model, retrain)
