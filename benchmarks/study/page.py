"""Writes the study into docs/statistics.md, between its two markers, and its plots into docs/images/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.study import pictures
from benchmarks.study.no_effect import OUR_RULES
from benchmarks.study.power import ANYTIME, FIXED, PLANNED_LOOKS, WITH_COVARIATE
from benchmarks.study.results import kept
from benchmarks.study.tables import coverage_table, delay_table, no_effect_table, power_table, shipped_table, table

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- study: written by python -m benchmarks.study page -->", "<!-- end of study -->"
LEVEL = 0.025
PLOTS = {
    "no_effect": (pictures.false_decisions, "study-false-decisions.png"),
    "traces": (pictures.intervals, "study-intervals.png"),
    "power": (pictures.power_curves, "study-power.png"),
    "harm": (pictures.roll_backs, "study-roll-backs.png"),
}
Document = Mapping[str, Any]


def write_page(docs: Path = DOCS) -> list[Path]:
    """The files written.

    Raises:
        FileNotFoundError: when a part has not been run.
        ValueError: when the page has no place for the study.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    found = {part: kept(part) for part in ("no_effect", "power", "harm", "coverage", "traces")}
    page = docs / "statistics.md"
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} needs the lines {BEGIN} and {END}, once each")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    written = [page]
    for part, (draw, name) in PLOTS.items():
        draw(found[part], docs / "images" / name)
        written.append(docs / "images" / name)
    page.write_text(f"{before}{BEGIN}\n\n{section(found)}\n\n{END}{after}", encoding="utf-8")
    return written


def section(found: Mapping[str, Document]) -> str:
    """The study as Markdown."""
    seeds = {one["seed"] for one in found.values()}
    seed = ", ".join(str(one) for one in sorted(seeds))
    return f"""Seed {seed}; run counts stand in the tables, ± is one Monte Carlo standard error.

{verdict_table(found)}

### No effect

![False promotions and false calls of harm by rule](images/study-false-decisions.png)

{no_effect_table(dict(found["no_effect"]))}

![The interval of single canaries over their looks](images/study-intervals.png)

### Power

![Power by size of the effect](images/study-power.png)

{power_table(dict(found["power"]))}

### Harm

{shipped_table(dict(found["harm"]))}

![Units until harm is called](images/study-roll-backs.png)

{delay_table(dict(found["harm"]))}

### Coverage

{coverage_table(dict(found["coverage"]))}"""


def verdict_table(found: Mapping[str, Document]) -> str:
    """The targets and what was measured: the worst of our figures under each."""
    return table(
        ["what must hold", "measured", ""], [[*words, "holds" if holds else "**missed**"] for *words, holds in verdicts(found)]
    )


def verdicts(found: Mapping[str, Document]) -> Iterable[tuple[str, str, bool]]:
    """Target, measured value, whether it holds."""
    ours = [row for row in found["no_effect"]["rows"] if row["rule"] in OUR_RULES]
    for value, words in (("promoted", "false promotion at most 2.5 %"), ("rolled_back", "false call of harm at most 2.5 %")):
        worst = max(ours, key=lambda row: row[value])
        text = f"at most {worst[value]:.2%} ± {worst[f'{value}_error']:.2%} ({worst['metric']}; {worst['rule']})"
        yield f"no effect: {words}", text, worst[value] <= LEVEL
    power = {(row["metric"], row["rule"]): row for row in found["power"]["rows"] if row["multiple"] == 1.0}
    for rule, least in ((PLANNED_LOOKS, 0.7), (ANYTIME, 0.5)):
        worst = min((row for key, row in power.items() if key[1] == rule), key=lambda row: row["power"])
        yield (
            f"power of {rule} at least {least:.0%}",
            f"{worst['power']:.1%} ± {worst['error']:.1%} ({worst['metric']})",
            worst["power"] >= least,
        )
    for rule in (ANYTIME, PLANNED_LOOKS):
        for (metric, name), row in power.items():
            if name == rule + WITH_COVARIATE:
                fixed = power[metric, FIXED]
                text = f"{row['power']:.1%} against {fixed['power']:.1%}"
                yield f"power of {name} above the fixed-size test", text, row["power"] > fixed["power"]
    shipped = [row for row in found["harm"]["shipped"] if row["rule"].startswith("this engine")]
    worst = max(shipped, key=lambda row: row["shipped"])
    yield (
        "10 % worse: shipped at most 0.5 %",
        f"at most {worst['shipped']:.2%} of {worst['runs']:,} at each size",
        worst["shipped"] <= 0.005,
    )
    yield from _coverage(found["coverage"]["rows"])


def _coverage(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, bool]]:
    for side in ("lower", "upper"):
        sorted_rows = sorted(rows, key=lambda row: -float(row[f"{side}_ever"]))
        beyond = [row for row in sorted_rows if row[f"{side}_ever"] > LEVEL + 2 * row["error"]]
        worst = sorted_rows[0]
        text = f"at most {worst[f'{side}_ever']:.2%} ({worst['metric']}, {worst['units']:,} units)"
        if beyond:
            cases = ", ".join(dict.fromkeys(str(row["metric"]) for row in beyond))
            text = f"{len(beyond)} of {len(sorted_rows)} cases beyond: {cases}; {text}"
        yield f"the {side} limit misses the true effect at any look in at most 2.5 % (and two standard errors)", text, not beyond
