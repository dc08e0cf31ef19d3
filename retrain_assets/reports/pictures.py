"""The pack's plots as Markdown images that stand alone, for the Dagster UI and other places without the page's style."""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore, Ledger
from retrain_assets.reports.evaluation_plots import backtest_plot, reliability_plot, slice_plot
from retrain_assets.reports.interval_plot import interval_plot
from retrain_assets.reports.pack import pack_of


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
        pictures.append(_markdown("Calibration on the hold-out", reliability_plot(evaluation["calibration"])))
    if (slices := slice_plot(evaluation["slices"])) is not None:
        pictures.append(_markdown("Slices, candidate against champion", slices))
    if evaluation["backtests"] is not None and (tested := backtest_plot(evaluation["backtests"])) is not None:
        pictures.append(_markdown("Back-tests over time, and the candidate on the hold-out", tested))
    return "\n\n".join(pictures)


def canary_pictures(home: Home, model: str, retrain: str) -> str:
    """The interval of every measure over time, with the stages behind it, as Markdown; empty before the first interval.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    ramp = _pack(home, model, retrain)["ramp"]
    drawn = [(measure["name"], interval_plot(ramp, measure)) for measure in ramp["measures"]] if ramp else []
    return "\n\n".join(_markdown(f"{name}, challenger against champion", plot) for name, plot in drawn if plot is not None)


def _pack(home: Home, model: str, retrain: str) -> dict[str, Any]:
    return pack_of(Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), home, model, retrain)


def _markdown(title: str, plot: Markup) -> str:
    svg = re.sub(r"<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', str(plot), count=1)
    width, height = _size(svg)
    svg = re.sub(
        r"(<svg [^>]*>)", rf'\1<style>{_style()}</style><rect width="{width}" height="{height}" fill="#fff"/>', svg, count=1
    )
    svg = svg.replace("<svg ", f'<svg width="{width}" height="{height}" ', 1)
    return f"**{title}**\n\n![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _size(svg: str) -> tuple[str, str]:
    _, _, width, height = re.search(r'viewBox="([^"]*)"', svg).group(1).split()  # type: ignore[union-attr]
    return width, height


@cache
def _style() -> str:
    """The light colours and the rules of plots, out of the page's style sheet."""
    sheet = files("retrain_assets.reports").joinpath("templates/style.css").read_text()
    colours = re.search(r":root \{.*?\}", sheet, flags=re.DOTALL)
    rules = re.findall(r"^\.plot[^{}]*\{[^}]*\}|(?<=\} )\.plot[^{}]*\{[^}]*\}", sheet, flags=re.MULTILINE)
    return " ".join([colours.group(0).replace("color-scheme: light dark;", "") if colours else "", *rules]).replace("\n", " ")
