"""A preview as the comment of a pull request: a summary first, tables by subject, what is long folded away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retrain_assets.reports.contract_diff.changes import Change
from retrain_assets.reports.contract_diff.directions import Tendency
from retrain_assets.reports.contract_diff.preview import ModelPreview

MARK = "<!-- retrain contract preview -->"
"""First line of the comment, by which the next run finds it again."""

_SIGNS = {Tendency.STRICTER: "🔒 stricter", Tendency.LOOSER: "🔓 looser", Tendency.DIFFERENT: "different"}
_LONGEST = 80


def markdown_of(previews: Sequence[ModelPreview], base: str, faults: Sequence[str] = ()) -> str:
    """The comment.

    Args:
        previews: the models that change.
        base: what it is compared with, as people call it.
        faults: contracts that do not hold, one line each.
    """
    return "\n".join((MARK, *_lines(previews, base, faults))) + "\n"


def _lines(previews: Sequence[ModelPreview], base: str, faults: Sequence[str]) -> Iterator[str]:
    count = len(previews)
    yield f"## Release contracts: {count or 'no'} model{'' if count == 1 else 's'} {'changes' if count == 1 else 'change'}"
    yield ""
    yield f"Compared with `{_code(base)}`."
    if faults:
        yield ""
        yield "> [!CAUTION]"
        for fault in faults:
            yield f"> - {_text(fault)}"
    for preview in previews:
        yield ""
        yield from _model(preview)


def _model(preview: ModelPreview) -> Iterator[str]:
    yield f"### `{preview.model}`: {_headline(preview)}"
    rooms = preview.by_heading()
    named = len(preview.environments) > 1
    for heading, changes in rooms.items():
        yield ""
        yield f"**{heading}**"
        yield ""
        yield f"| field | before | after | |{' environments |' if named else ''}"
        yield f"|---|---|---|---|{'---|' if named else ''}"
        for change, where in changes:
            shown = "all" if len(where) == len(preview.environments) else ", ".join(where)
            yield _row(change) + (f" {shown} |" if named else "")
    yield from _plan(preview)
    if preview.code:
        yield ""
        yield f"**Code** is another: {', '.join(f'`{_code(one)}`' for one in preview.code)}"
    if preview.stale:
        yield ""
        yield "**What is on record**"
        yield ""
        yield from (f"- {_text(one)}" for one in preview.stale)
    yield ""
    yield "<details><summary>Digests</summary>"
    yield ""
    yield "| environment | before | after |"
    yield "|---|---|---|"
    for one in preview.environments:
        yield f"| {one.name} | {_digest(one.before)} | {_digest(one.after)} |"
    yield ""
    yield "</details>"


def _headline(preview: ModelPreview) -> str:
    if preview.what != "changed":
        return "**new**" if preview.what == "added" else "**removed**"
    found = [change for changes in preview.by_heading().values() for change, _ in changes]
    counted = {tendency: sum(one.tendency is tendency for one in found) for tendency in Tendency}
    words = [f"{number} {tendency}" for tendency, number in counted.items() if number]
    words += ["other code"] if preview.code else []
    return ", ".join(words) or "the same terms"


def _row(change: Change) -> str:
    return f"| `{_code(change.field)}` | {_value(change.before)} | {_value(change.after)} | {_SIGNS[change.tendency]} |"


def _plan(preview: ModelPreview) -> Iterator[str]:
    for one in preview.environments:
        if one.plan:
            where = f" in {one.name}" if len(preview.environments) > 1 else ""
            yield ""
            yield f"**Plan{where}**"
            yield ""
            yield "| | before | after |"
            yield "|---|---|---|"
            for line in one.plan:
                yield f"| {_text(line.what)} | {_text(line.before or '–')} | {_text(line.after or '–')} |"


def _value(written: str | None) -> str:
    if written is None:
        return "–"
    shown = written if len(written) <= _LONGEST else written[: _LONGEST - 1] + "…"
    return f"`{_code(shown)}`"


def _digest(digest: str | None) -> str:
    return f"`{digest[7:19]}`" if digest else "–"


def _code(text: str) -> str:
    """Text inside backticks in a table: neither may end it."""
    return text.replace("`", "'").replace("|", "\\|").replace("\n", " ")


def _text(text: str) -> str:
    """Text in a table or a list that is text, not Markdown or HTML."""
    shown = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join("".join(f"\\{one}" if one in "*_`[]" else one for one in shown).split())
