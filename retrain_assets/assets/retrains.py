"""Asset ``retrains``: every retrain of a model in one table, with what each gate said, where it stopped, and how it ended.

Dagster's own partition pages tell what was materialised, and a retrain that is rolled back has materialised everything. It is
shown anew by the upkeep sensor, without a run, when something in it changed. Materialising it does the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import TABLE_ROWS, cut, table
from retrain_assets.assets.links import pack_url, page_of_retrain
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import Gate, digest_of
from retrain_assets.home import Home
from retrain_assets.release import Ending, ModelState
from retrain_assets.reports.retrain_line import LEGEND, RetrainLine, retrain_lines

LINKED = 6
"""Retrains with links: Dagster shows Markdown of less than 1,000 letters at once, and longer one behind a click."""


def retrains_asset(road: Road) -> dg.AssetsDefinition:
    """The table of all retrains of a model."""

    @dg.asset(
        key=road.key("retrains"),
        deps=[road.key("audit_record")],
        code_version=road.code_version,
        description="Every retrain, the newest first: what the five gates said, where it stopped and why, how it ended, its "
        "version, who approved it, what set it off, and the way to its evidence pack. Shown anew when something changed.",
        group_name=road.model,
        owners=road.owners("retrains"),
        kinds=road.kinds("retrains"),
        tags=road.tags,
    )
    def retrains(platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        page = RetrainsPage(road, platform.controller.state(road.model), platform.home)
        return dg.MaterializeResult(metadata=page.metadata, data_version=dg.DataVersion(page.digest))

    return retrains


class RetrainsPage:
    """What the asset says of a model.

    Args:
        road: the model's.
        state: the model's.
        home: for links to evidence packs.
    """

    def __init__(self, road: Road, state: ModelState, home: Home) -> None:
        self._road, self._state, self._home = road, state, home
        self.lines: Sequence[RetrainLine] = retrain_lines(state)

    @cached_property
    def digest(self) -> str:
        """Digest of what is shown."""
        return digest_of([_row(line) | {"set off by": line.set_off_by, "why": self._why(line)} for line in self.lines])

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The page: the last retrain in a sentence, the table of all, then why those stopped that did, and links."""
        if not self.lines:
            return {"last retrain": "none yet; launch one with retrain launch"}
        why = [{"retrain": line.retrain, "why": cut(self._why(line))} for line in self.lines if self._why(line)]
        endings = Counter(retrain.ended for retrain in self._state.retrains.values())
        unshown = len(self.lines) - TABLE_ROWS
        return {
            "last retrain": f"{self.lines[0].retrain}: {self.lines[0].sentence}",
            "retrains": table(map(_row, self.lines), as_written=True),
            "gates 1–5": f"{', '.join(gate.value for gate in Gate)}:  {LEGEND}",
            **({"not shown": f"the {unshown} oldest; retrain status {self._road.model} has all"} if unshown > 0 else {}),
            "links": dg.MetadataValue.md("\n".join(map(self._links, self.lines[:LINKED]))),
            **({"why it stopped": table(why, as_written=True)} if why else {}),
            "set off by": table(
                ({"retrain": line.retrain, "set off by": line.set_off_by} for line in self.lines), as_written=True
            ),
            "evidence packs": dg.MetadataValue.path(str(self._home.reports_dir(self._road.model) / "index.html")),
            "number_of_retrains": len(self.lines),
            "number_promoted": endings[Ending.PROMOTED] + endings[Ending.BOOTSTRAPPED],
            "number_rolled_back": endings[Ending.ROLLED_BACK],
            "number_stopped": endings[Ending.STOPPED] + endings[Ending.FAILED],
        }

    @property
    def events(self) -> list[dg.AssetMaterialization]:
        """The same as an event without a run."""
        tags = {"dagster/data_version": self.digest, "dagster/code_version": self._road.code_version}
        return [dg.AssetMaterialization(self._road.key("retrains"), metadata=self.metadata, tags=tags)]

    def _why(self, line: RetrainLine) -> str:
        """Why a retrain did not go live, or not for long; empty of one that serves or is under way."""
        retrain, toggle = self._state.retrains[line.retrain], self._state.toggle_of(line.retrain)
        if retrain.ended in (Ending.PROMOTED, Ending.BOOTSTRAPPED):
            return (toggle.ended_because or "") if toggle is not None and "later" in line.ending else ""
        decided = retrain.decision.reason if retrain.decision is not None else ""
        return decided or (retrain.failure or "" if retrain.ended is not None else "")

    def _links(self, line: RetrainLine) -> str:
        model = self._road.model
        served = pack_url(self._home, model, line.retrain)
        pack = f" · [evidence pack]({served})" if served else ""
        return f"- {line.retrain}: [record]({page_of_retrain(model, line.retrain, 'audit_record')}){pack}"


def _row(line: RetrainLine) -> dict[str, str | None]:
    return {
        "retrain": line.retrain,
        "gates 1–5": line.marks.replace(" ", "\u00a0"),
        "how it ended": line.sentence,
        "version": line.version,
        "approved by": line.approved_by or None,
    }


def _trigger(line: RetrainLine) -> dict[str, str]:
    return {"retrain": line.retrain, "set off by": line.set_off_by}
