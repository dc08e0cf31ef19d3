"""Asset ``release_board``: every model of the code location at a glance, the worst first, and the check that nothing waits for a
person.

It is shown anew by the upkeep sensor, without a run, when something on it changed and once a day. Materialising it does the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import dagster as dg

from retrain_assets import __version__
from retrain_assets.assets.board_lines import BoardLine, Standing, board_line
from retrain_assets.assets.board_picture import board_picture
from retrain_assets.assets.faces import TABLE_ROWS, cut, table
from retrain_assets.assets.links import board_links
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import digest_of
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, timestamp
from retrain_assets.release import ModelState, PlatformState
from retrain_assets.release.due import Due
from retrain_assets.reports import words

KEY = dg.AssetKey("release_board")
GROUP = "releases"
CHECK = "nothing_waits_for_a_person"
KnownLines = dict[str, tuple[tuple[Any, ...], BoardLine]]
SHOWN_AT_ONCE = 990
"""Dagster shows Markdown of less than 1,000 letters at once, and longer one behind a click."""
WHAT_LETTERS = 180
"""Letters of what waits in the list; the whole of it stands in the check."""


def release_board_asset(roads: Sequence[Road]) -> dg.AssetsDefinition:
    """The board of some models, with the check that nothing waits for a person.

    Args:
        roads: the models, sorted by name.
    """

    @dg.asset(
        key=KEY,
        code_version=__version__,
        description="The state of every model, worst first: what waits for whom and the command that settles it, champion, "
        "challenger with its stage and last look, where the last retrain stopped, debt, and when the next retrain is due. "
        "Shown anew when something changed and once a day.",
        group_name=GROUP,
        owners=sorted({road.contract.owners.release for road in roads}),
        kinds={"dashboard"},
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=KEY,
                description="No approval, second signature, overdue review or other debt waits for a person. A warning: nothing "
                "is wrong, somebody has to act. Each line names who, and the command.",
            )
        ],
    )
    def release_board(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        states, beyond = platform.controller.snapshot()
        page = BoardPage(roads, states, beyond, platform.home, platform.clock.now(), instance=context.instance)
        return dg.MaterializeResult(
            metadata=page.metadata, data_version=dg.DataVersion(page.digest), check_results=[page.check_result]
        )

    return release_board


class BoardPage:
    """What the board and its check say at a moment.

    Args:
        roads: the models.
        states: the models' states; one that is missing has nothing recorded about it.
        platform: kill switches and freezes.
        home: for links to evidence packs.
        now: aware.
        instance: Dagster's record, for the champions' latest drift reports; without it the board is silent about drift.
        known: lines of an earlier page, by model with what they rest on; those that still hold are taken, new ones added.
    """

    def __init__(
        self,
        roads: Sequence[Road],
        states: Mapping[str, ModelState],
        platform: PlatformState,
        home: Home,
        now: datetime,
        known: KnownLines | None = None,
        *,
        instance: dg.DagsterInstance | None = None,
    ) -> None:
        self._platform, self._home, self._now = platform, home, now
        kept = {} if known is None else known
        for road in roads:
            state = states.get(road.model) or ModelState(road.model)
            rests_on = (state.sequence, platform.sequence, road.code_version, f"{now:%Y-%m-%dT%H}")
            if kept.get(road.model, ((),))[0] != rests_on:
                kept[road.model] = rests_on, board_line(road, state, platform, now, instance)
        self.lines: list[BoardLine] = sorted((kept[road.model][1] for road in roads), key=lambda line: line.order)

    @cached_property
    def digest(self) -> str:
        """Digest of what is shown, days and hours that pass aside."""
        return digest_of([[line.model, *line.lasting] for line in self.lines] + [self._stopped()])

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The page: one sentence, the models, what waits for a person, then the details."""
        waiting, tested = list(self._waiting()), [line for line in self.lines if line.challenger]
        listed = _listed([(line.model, due) for line in self.lines for due in line.waiting])
        return {
            "board": self.sentence,
            **({"stopped": table(self._stopped(), as_written=True)} if self._stopped() else {}),
            "models": table(map(_model, self.lines), as_written=True),
            "waits for a person": dg.MetadataValue.md("\n".join(listed)) if waiting else "nothing",
            **({"and also": table(waiting[len(listed) :], as_written=True)} if len(listed) < len(waiting) else {}),
            **({"under test": table(map(_tested, tested), as_written=True)} if tested else {}),
            "serving": table(map(_serving, self.lines), as_written=True),
            **self._capped(len(waiting)),
            "picture": dg.MetadataValue.md(board_picture(self.lines)),
            "links": dg.MetadataValue.md(board_links(self.lines[:TABLE_ROWS], self._home)),
            "number_of_models": len(self.lines),
            "number_waiting": len(waiting),
            "number_under_test": len(tested),
            "as_of": words.moment(timestamp(self._now)),
        }

    @property
    def check_result(self) -> dg.AssetCheckResult:
        """The check of a run."""
        return dg.AssetCheckResult(check_name=CHECK, **self._checked())

    @property
    def events(self) -> list[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        """The same as events without a run."""
        tags = {"dagster/data_version": self.digest, "dagster/code_version": __version__}
        return [
            dg.AssetMaterialization(KEY, metadata=self.metadata, tags=tags),
            dg.AssetCheckEvaluation(asset_key=KEY, check_name=CHECK, **self._checked()),
        ]

    @property
    def sentence(self) -> str:
        """How many models there are, and how they stand."""
        counted = Counter(line.standing for line in self.lines)
        said = ", ".join(f"{counted[one]} {one.words.partition(' ')[2]}" for one in Standing if counted[one])
        return f"{len(self.lines)} {'model' if len(self.lines) == 1 else 'models'}: {said}"

    def _checked(self) -> dict[str, Any]:
        waiting = list(self._waiting())
        first = f"{waiting[0]['model']}: {waiting[0]['what']}" if waiting else ""
        more = f"; and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        return {
            "passed": not waiting,
            "severity": dg.AssetCheckSeverity.WARN,
            "description": f"{first}{more}" if waiting else f"nothing waits for a person; {self.sentence}",
            "metadata": {
                "waiting": len(waiting),
                **({"what waits": table(waiting, as_written=True)} if waiting else {}),
            },
        }

    def _waiting(self) -> Iterator[dict[str, str]]:
        for line in self.lines:
            for due in line.waiting:
                settles = " or: ".join(way.line for way in due.ways)
                yield {"model": line.model, "what": cut(due.what), "settle it with": settles}

    def _stopped(self) -> list[dict[str, str]]:
        """Kill switches that are engaged."""
        return [
            {
                "kill switch of": "all models" if name == EVERY_MODEL else name,
                "since": words.moment(timestamp(one.engaged_at)),
                "why": f"{cut(one.reason)} ({words.actor(one.by)})",
            }
            for name, one in self._platform.kill_switches.items()
        ]

    def _capped(self, waiting: int) -> dict[str, str]:
        if max(waiting, len(self.lines)) <= TABLE_ROWS:
            return {}
        said = f"{TABLE_ROWS} of {len(self.lines)} models and of {waiting} that wait are shown, the worst; all: retrain status"
        return {"not shown": said}


def _listed(waiting: Sequence[tuple[str, Due]]) -> list[str]:
    """What waits, a point of a Markdown list each with its commands below, as many as Dagster shows at once."""
    points, room = [], SHOWN_AT_ONCE
    for model, due in waiting:
        named = due.what if model in due.what else f"{model}: {due.what}"
        point = "  \n".join([f"- {cut(named, WHAT_LETTERS)}", *("  " + way for way in _ways(due))])
        if (room := room - len(point) - 1) < 0:
            break
        points.append(point)
    return points


def _ways(due: Due) -> Iterator[str]:
    """The commands of a due, a line each; who has to type them, where not everybody may."""
    for number, way in enumerate(due.ways):
        commands = " then ".join(f"`{command}`" for command in way.commands)
        yield f"{'or ' if number else ''}{commands}{f' (by {way.by})' if way.by else ''}"


def _model(line: BoardLine) -> dict[str, str]:
    return {"model": line.model, "stands": line.standing.words, "last retrain": line.last_retrain, "owes": line.owes}


def _tested(line: BoardLine) -> dict[str, str]:
    return {"model": line.model, "challenger": line.challenger, "last look": cut(line.last_look)}


def _serving(line: BoardLine) -> dict[str, str | None]:
    return {"model": line.model, "champion": line.champion, "drift": line.drift or None, "next retrain": line.next_retrain}
