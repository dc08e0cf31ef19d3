"""A model card after M. Mitchell et al., Model Cards for Model Reporting (FAT* 2019), from the record alone.

Where the record says nothing, the card says that nothing is recorded; no sentence in it is about more than this retrain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from retrain_assets.reports import words
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.reading import readable

NOTHING = "Nothing is recorded."


def model_card(material: Material) -> bytes:
    """The card as Markdown, in the nine sections of the paper."""
    sections = (
        ("Model details", _details(material)),
        ("Intended use", _intended_use(material)),
        ("Factors", _factors(material)),
        ("Metrics", _metrics(material)),
        ("Evaluation data", _evaluation_data(material)),
        ("Training data", _training_data(material)),
        ("Quantitative analyses", _analyses(material)),
        ("Ethical considerations", _ethics(material)),
        ("Caveats and recommendations", _caveats(material)),
    )
    lines = [f"# Model card: {material.record.model}, retrain {material.record.retrain}", ""]
    for title, content in sections:
        lines += [f"## {title}", "", *(list(content) or [NOTHING]), ""]
    return "\n".join(lines).encode()


def told(text: str) -> str:
    """A recorded text as one sentence."""
    return words.sentence(readable(text.strip().rstrip("."))) + "."


def _details(material: Material) -> Iterator[str]:
    manifest, answer, contract = material.manifest, material.pack["answer"], material.contract
    yield f"{answer['word']}. {told(answer['headline'])} {told(answer['why'])}"
    yield ""
    if manifest is None:
        yield "No bundle is here: see withheld.json, or the gates below where training was not reached."
        return
    candidate, code = material.record.known.candidate, manifest.code
    dirty = " with changes that are in no commit" if code.get("dirty") else ""
    yield from _table(
        ("", ""),
        [
            ("Registry version", candidate.version if candidate else None),
            ("Bundle digest", manifest.digest),
            ("Task", manifest.task),
            ("Estimator", manifest.estimator),
            ("Calibration", manifest.calibration.get("kind")),
            ("Decision threshold", (manifest.decision or {}).get("threshold")),
            ("Features", ", ".join(manifest.feature_names)),
            ("Seed", manifest.seed),
            ("Code", f"{code['commit']}{dirty}" if code.get("commit") else None),
            ("Owners", ", ".join(f"{owner} ({what})" for what, owner in sorted(contract.get("owners", {}).items()))),
        ],
    )


def _intended_use(material: Material) -> Iterator[str]:
    contract = material.contract
    if contract.get("purpose"):
        yield f"{contract['purpose'].rstrip('.')}."
        cohort = contract.get("experiment", {}).get("cohort")
        yield ""
        source = contract.get("source", {})
        yield f"What is predicted: `{source.get('label')}`, for each `{source.get('unit')}`. For whom: {cohort or 'everyone'}."
        yield "The contract has no place for uses that are out of scope."


def _factors(material: Material) -> Iterator[str]:
    gates, experiment = material.contract.get("gates", {}), material.contract.get("experiment", {})
    offline = gates.get("offline") or {}
    slices, fairness = offline.get("slices") or {}, offline.get("fairness") or []
    yield f"Slices looked at on held-out rows: {_named(slices.get('columns'))}."
    yield f"Groups compared for fairness: {_named(one.get('column') for one in fairness)}."
    yield f"Segments looked at on live traffic: {_named(experiment.get('segments'))}."


def _metrics(material: Material) -> Iterator[str]:
    offline = (material.contract.get("gates", {}).get("offline") or {}).get("metrics") or {}
    experiment = material.contract.get("experiment", {})
    rows = [(name, "held-out rows", _limits(limits)) for name, limits in offline.items()]
    for role in ("success", "guardrails"):
        rows += [(name, f"live traffic, {role}", _limits(limits)) for name, limits in (experiment.get(role) or {}).items()]
    yield from _table(("metric", "judged on", "limits of the contract"), rows)


def _evaluation_data(material: Material) -> Iterator[str]:
    yield from _rows(material, "holdout", ("train_end", "holdout_end"), "Held-out rows, after the training window")


def _training_data(material: Material) -> Iterator[str]:
    yield from _rows(material, "train", ("train_start", "train_end"), "Training rows")
    if material.manifest is not None:
        yield f"Data set digest: `{material.manifest.dataset}`. Feature pipeline: `{material.manifest.feature_pipeline}`."
    source = material.contract.get("source", {})
    if place := source.get("table") or source.get("uri"):
        yield f"Source: `{place}`."


def _rows(material: Material, part: str, ends: tuple[str, str], what: str) -> Iterator[str]:
    if material.manifest is None:
        return
    window = material.manifest.window
    if (first := window[ends[0]]) is None or (last := window[ends[1]]) is None:
        yield f"{what}: not known here, the model was adopted from {material.manifest.adopted}."
        return
    kept = material.record.stages.get("dataset")
    rows = (kept.metadata.get("rows") or {}).get(part) if kept is not None else None
    count = f", {rows:,} of them" if rows is not None else ""
    yield f"{what}: {first[:10]} to {last[:10]}{count}."


def _analyses(material: Material) -> Iterator[str]:
    evaluation, last = material.pack["evaluation"], (material.pack["ramp"] or {}).get("last_look")
    if evaluation is not None:
        share = evaluation.get("confidence")
        yield f"On held-out rows. Each bound of an interval holds by itself with confidence {_number(share)}." if share else ""
        yield ""
        yield from _table(
            ("metric", "candidate", "champion", "better by", "at least", "at most"),
            [
                (row["metric"], *(row.get(name) for name in ("candidate", "champion", "estimate", "lower", "upper")))
                for row in evaluation["metrics"]
            ],
        )
        if rows := evaluation["slices"]["rows"]:
            total = _slices_in_total(material)
            kept = f"; the record keeps {len(rows)} of {total}" if total else ""
            yield from ("", f"By slice{kept}.", "")
            names = ("slice", "rows", "candidate", "champion", "worse_by", "worse_by_at_least", "worse_by_at_most")
            heads = tuple(name.replace("_", " ") for name in names)
            yield from _table(heads, [tuple(row.get(name) for name in names) for row in rows])
    if last:
        yield from ("", "On live traffic, challenger against champion, at the last look; intervals hold at every look.", "")
        found = ("champion_mean", "challenger_mean", "estimate", "lower", "upper", "state")
        titles = ("measure", "champion", "challenger", "change", "at least", "at most", "found")
        yield from _table(
            titles, [(row["spec"]["name"], *(row.get(name) for name in found)) for row in last.get("results") or []]
        )


def _slices_in_total(material: Material) -> int | None:
    checks = [check for gate in material.pack["gates"] for check in gate["checks"] if check["check"] == "slices_hold"]
    return checks[0]["evidence"].get("slices_total") if checks else None


def _ethics(material: Material) -> Iterator[str]:
    for column, found in ((material.pack["evaluation"] or {}).get("fairness") or {}).items():
        yield f"Fairness between groups of `{column}`: the check's outcome is {found['outcome']}."
        yield ""
        names = ("difference", "observed", "at_least", "at_most", "limit", "lowest", "highest", "outcome")
        heads = tuple(name.replace("_", " ") for name in names)
        yield from _table(heads, [tuple(row.get(name) for name in names) for row in found["differences"]])
        yield ""
        groups = ("group", "rows", "positives", "selection_rate", "tpr", "fpr", "calibration")
        yield from _table(
            ("group", "rows", "positives", "selection rate", "true positive rate", "false positive rate", "calibration"),
            [tuple(row.get(name) for name in groups) for row in found["groups"]],
        )


def _caveats(material: Material) -> Iterator[str]:
    closed = [(gate, check) for gate in material.pack["gates"] for check in gate["checks"] if check["outcome"] != "pass"]
    for gate, check in closed:
        yield f"- Gate {gate['gate']}, {words.words(check['check'])}: {check['outcome']}. {check['message']}"
    if not closed:
        yield (
            "- Every recorded check passed." if any(gate["checks"] for gate in material.pack["gates"]) else "- No check was made."
        )
    for one in material.pack["overrides"]:
        since = f", withdrawn {words.moment(one['withdrawn'])}" if one["withdrawn"] else ""
        when = f"on {words.moment(one['at'])} by {_people(one['by'])}{since}"
        yield f"- Check {one['check']} was overridden {when}: {told(one['why'])}"
    evaluation = material.pack["evaluation"]
    if evaluation is not None and not evaluation["compared"]:
        yield "- It was compared with no champion: nothing here shows that it is better than another model."


def _people(actors: str | Iterable[str]) -> str:
    return " and ".join(words.actor(one) for one in ([actors] if isinstance(actors, str) else actors))


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    found = [row for row in rows if any(value is not None for value in row[1:])]
    if not found:
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in found:
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: Any) -> str:
    return "-" if value is None else _number(value).replace("|", "\\|").replace("\n", " ")


def _number(value: Any) -> str:
    return words.number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _limits(limits: Any) -> str:
    known = {name: value for name, value in (limits or {}).items() if value not in (None, "mean")}
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in known.items()) or "none"


def _named(names: Iterable[Any] | None) -> str:
    return ", ".join(f"`{name}`" for name in names or ()) or "none"
