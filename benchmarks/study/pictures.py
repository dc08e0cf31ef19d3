"""The study's plots, as PNG files for docs/images/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, PEER, NAIVE, BEST, TRUTH = "#0b6e4f", "#c2571a", "#8a8f98", "#20242a", "#b3261e"
"""Colours: this engine, peers, t-tests, the best possible, and true values and targets."""
METRICS = {"conversion": "#1f4e79", "revenue": "#5b8db8", "revenue per session": "#93b7d6", "returning units": "#c9dcec"}
TARGET = 2.5
Document = dict[str, Any]


def false_decisions(found: Document, path: Path) -> None:
    """Bars of false promotions and false calls of harm by rule and metric, with the stated level."""
    import matplotlib.pyplot as plt

    rows = [row for row in found["rows"] if row["metric"] in METRICS and not row["missing"]]
    rules = [row["rule"] for row in rows if row["metric"] == "conversion" and "do no harm" not in row["rule"]]
    rules.sort(key=lambda rule: not rule.startswith("this engine"))
    figure, panels = plt.subplots(1, 2, figsize=(11.5, 8.2), sharey=True, layout="constrained")
    thickness = 0.8 / len(METRICS)
    for axes, value, title in zip(
        panels,
        ("promoted", "rolled_back"),
        ("falsely promoted, % of canaries", "falsely called worse, % of canaries"),
        strict=True,
    ):
        for place, (metric, colour) in enumerate(METRICS.items()):
            mine = {row["rule"]: row for row in rows if row["metric"] == metric}
            there = [(position, mine[rule]) for position, rule in enumerate(rules) if rule in mine]
            at = [position + (place - (len(METRICS) - 1) / 2) * thickness for position, _ in there]
            shares = [100 * row[value] for _, row in there]
            errors = [100 * row[f"{value}_error"] for _, row in there]
            axes.barh(
                at, shares, 0.9 * thickness, color=colour, label=metric, xerr=errors, error_kw={"lw": 0.8, "ecolor": "#333"}
            )
            for y, one, error in zip(at, shares, errors, strict=True):
                axes.text(max(one + error, TARGET) + 0.6, y, f"{one:.1f}", va="center", fontsize=7.5, color="#333")
        axes.axvline(TARGET, color=TRUTH, lw=1.2)
        axes.text(TARGET + 0.4, -0.66, "stated level 2.5 %", color=TRUTH, fontsize=8.5, va="center")
        axes.set_title(title, loc="left", fontsize=11)
        _plain(axes, grid="x")
        axes.set_ylim(len(rules) - 0.45, -0.85)
        axes.set_xlim(0, None)
    panels[0].set_yticks(range(len(rules)), [_wrapped(rule) for rule in rules], fontsize=9.5)
    for label in panels[0].get_yticklabels():
        label.set_color(OURS if label.get_text().startswith("this engine") else "#333")
    panels[1].legend(frameon=False, fontsize=9, loc="lower right")
    figure.suptitle(
        "No effect, 100 looks, ramp 5/25/50 %, baseline drifting by 20 %", x=0.01, ha="left", fontsize=12.5, fontweight="bold"
    )
    _save(figure, path)


def intervals(found: Document, path: Path) -> None:
    """Single canaries: the interval over the looks, the true effect, and what pooling the stages would have said."""
    import matplotlib.pyplot as plt

    effects = list(dict.fromkeys(row["effect"] for row in found["rows"]))
    figure, panels = plt.subplots(1, len(effects), figsize=(12.5, 4.4), sharey=True, layout="constrained")
    for axes, effect in zip(panels, effects, strict=True):
        rows = [row for row in found["rows"] if row["effect"] == effect]
        units = [row["units"] / 1000 for row in rows]
        _stages(axes, rows)
        shown = [row for row in rows if row["lower"] is not None]
        axes.fill_between(
            [row["units"] / 1000 for row in shown],
            [100 * row["lower"] for row in shown],
            [100 * row["upper"] for row in shown],
            color=OURS,
            alpha=0.16,
            lw=0,
        )
        axes.plot(
            [row["units"] / 1000 for row in shown],
            [100 * row["estimate"] for row in shown],
            color=OURS,
            lw=1.8,
            label="this engine",
        )
        pooled = [None if row["pooled"] is None else 100 * row["pooled"] for row in rows]
        axes.plot(units, pooled, color=NAIVE, lw=1.2, ls="--", label="stages pooled")
        axes.axhline(100 * effect, color=TRUTH, lw=1.3, label="true effect")
        _mark(axes, rows)
        axes.set_title("no effect" if not effect else f"true effect {effect:+.0%}", loc="left", fontsize=11)
        axes.set_xlabel("units of both arms, thousands")
        axes.set_ylim(-62, 62)
        axes.set_xlim(0, units[-1])
        _plain(axes, grid="y")
    panels[0].set_ylabel("change of the conversion rate, %")
    panels[0].legend(frameon=False, fontsize=8.5, loc="lower right")
    figure.suptitle(
        "One canary each, 100 looks: an interval that may be read at any of them",
        x=0.01,
        ha="left",
        fontsize=12.5,
        fontweight="bold",
    )
    _save(figure, path)


def power_curves(found: Document, path: Path) -> None:
    """Power by the size of the effect."""
    import matplotlib.pyplot as plt

    metrics = list(dict.fromkeys(row["metric"] for row in found["rows"]))
    figure, panels = plt.subplots(1, len(metrics), figsize=(12.5, 5.6), sharey=True, layout="constrained")
    for axes, metric in zip(panels, metrics, strict=True):
        rules = dict.fromkeys(row["rule"] for row in found["rows"] if row["metric"] == metric and not row["missing"])
        for rule in rules:
            rows = sorted(
                (row for row in found["rows"] if (row["metric"], row["rule"]) == (metric, rule)), key=lambda row: row["multiple"]
            )
            axes.plot(
                [row["multiple"] for row in rows],
                [100 * row["power"] for row in rows],
                marker="o",
                ms=3.5,
                label=rule,
                **_style(rule),
            )
        axes.axvline(1, color="#ccc", lw=0.9, zorder=0)
        axes.axhline(80, color="#ccc", lw=0.9, zorder=0)
        axes.set_title(metric, loc="left", fontsize=11)
        axes.set_xlabel("true effect, in multiples of the effect the size is planned for")
        axes.set_ylim(0, 101)
        axes.set_xlim(0, 2)
        _plain(axes, grid="y")
        axes.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(0, -0.13), ncol=2)
    panels[0].set_ylabel("found by the planned size, % of experiments")
    figure.suptitle("Power where a fixed-size test has 80 %", x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    _save(figure, path)


def roll_backs(found: Document, path: Path) -> None:
    """Units until harm is called: median and quartiles by rule; hollow where the rule also calls harm where there is none."""
    import matplotlib.pyplot as plt

    rows = [row for row in found["delays"] if not row["missing"]]
    groups = list(dict.fromkeys((row["metric"], row["harm"]) for row in rows))
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    across = len({harm for _, harm in groups})
    figure, panels = plt.subplots(
        len(groups) // across, across, figsize=(13.2, 7.0), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (metric, harm) in zip(panels.flat, groups, strict=True):
        mine = {row["rule"]: row for row in rows if (row["metric"], row["harm"]) == (metric, harm)}
        longest = 4 * next(iter(mine.values()))["fixed_size"]
        for place, rule in enumerate(rules):
            if (row := mine.get(rule)) is None:
                continue
            style = _style(rule)
            quartiles = [row["lower_quartile"], row["median"], row["upper_quartile"]]
            low, median, high = (longest if one is None else one for one in quartiles)
            axes.plot([low, high], [place, place], color=style["color"], lw=3.2, alpha=0.35, solid_capstyle="butt")
            cries = row["false_calls"] is not None and row["false_calls"] - 2 * (row["false_calls_error"] or 0) > TARGET / 100
            axes.plot(median, place, "o", ms=7, mec=style["color"], mfc="white" if cries else style["color"], mew=1.6)
            if cries:
                axes.annotate(
                    f"{100 * row['false_calls']:.0f} % false",
                    (high, place),
                    (5, 0),
                    textcoords="offset points",
                    fontsize=8,
                    va="center",
                )
            if row["upper_quartile"] is None:
                axes.annotate(
                    "never in a quarter", (longest, place), (-4, 6), textcoords="offset points", fontsize=7.5, ha="right"
                )
        axes.axvline(next(iter(mine.values()))["fixed_size"], color=TRUTH, lw=1, ls=":")
        axes.set_xscale("log")
        axes.set_xlim(right=longest)
        low_end, high_end = axes.get_xlim()
        ticks = [step * 10**power for power in range(2, 7) for step in (1, 2, 5)]
        axes.set_xticks([tick for tick in ticks if low_end <= tick <= high_end], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_title(f"{metric}, {harm:.0%} worse", loc="left", fontsize=11)
        _plain(axes, grid="x")
        axes.set_yticks(range(len(rules)), [_wrapped(rule) for rule in rules], fontsize=8.5)
        axes.set_ylim(len(rules) - 0.5, -0.5)
    for axes in panels[-1]:
        axes.set_xlabel("units of both arms")
    figure.suptitle(
        "Units until harm is called: median, quartiles (hollow: calls harm also where there is none; dotted: fixed-size test)",
        x=0.01,
        ha="left",
        fontsize=12.5,
        fontweight="bold",
    )
    _save(figure, path)


def _style(rule: str) -> dict[str, Any]:
    if rule.startswith("this engine"):
        covariate, planned = "covariate" in rule, "planned" in rule or "row" in rule
        return {"color": "#3fae85" if planned else OURS, "ls": "--" if covariate else "-", "lw": 2.1}
    if rule.startswith("SPRT"):
        return {"color": BEST, "ls": "-", "lw": 1.5}
    if rule.startswith(("fixed", "t-test")):
        return {"color": NAIVE, "ls": "-", "lw": 1.6}
    return {"color": "#e39a5f" if "as delivered" in rule else "#7a4bb0" if "spotify" in rule else PEER, "ls": "-", "lw": 1.5}


def _stages(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for number, stage in enumerate(dict.fromkeys(row["stage"] for row in rows)):
        mine = [row["units"] / 1000 for row in rows if row["stage"] == stage]
        start = mine[0] - (rows[0]["units"] / 1000)
        if number % 2 == 0:
            axes.axvspan(start, mine[-1], color="#f1f2f4", lw=0, zorder=0)
        axes.text((start + mine[-1]) / 2, 57, f"{stage} %", ha="center", va="center", fontsize=9, color="#555")


def _mark(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """The look at which the engine decides, and the one at which a t-test on pooled stages would have promoted."""
    last = rows[-1]["stage"]
    decided = next((row for row in rows if row["state"] == "worse" or (row["state"] == "better" and row["stage"] == last)), None)
    if decided is not None:
        word = "worse: roll back" if decided["state"] == "worse" else "better: ask for approval"
        axes.plot(decided["units"] / 1000, 100 * decided["estimate"], "o", ms=8, color=OURS)
        axes.annotate(
            word,
            (decided["units"] / 1000, 100 * decided["estimate"]),
            (4, -46),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=OURS,
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": OURS, "lw": 0.8},
        )
    win = next((row for row in rows if row["pooled_better"] and row["stage"] == last), None)
    if win is not None and not rows[0]["effect"]:
        axes.plot(win["units"] / 1000, 100 * win["pooled"], "X", ms=9, color=NAIVE, mec="white")
        axes.annotate(
            "t-test on pooled stages:\nfalsely “better”",
            (win["units"] / 1000, 100 * win["pooled"]),
            (-4, 26),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color="#555",
        )


def _plain(axes: Axes, *, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e6e8eb", lw=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _wrapped(rule: str) -> str:
    for mark in (", ", " (", " that "):
        if mark in rule:
            head, _, tail = rule.partition(mark)
            return f"{head}{mark.rstrip() if mark != ' (' else ''}\n{'(' if mark == ' (' else ''}{tail}"
    return rule


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)
