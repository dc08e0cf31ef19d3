"""Prometheus' text format, written and read back: small enough that a sensor's tick does not notice it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["counter", "gauge"]
Labels = tuple[tuple[str, str], ...]

_SAMPLE = re.compile(r"^(?P<name>[a-z_][a-z0-9_]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Family:
    """One metric with its samples.

    Args:
        name: as Prometheus calls it; a counter's ends in ``_total``.
        kind: counter or gauge.
        help: one sentence.
        samples: value by labels.
    """

    name: str
    kind: Kind
    help: str
    samples: Mapping[Labels, float] = field(default_factory=dict)


def labels(**values: str) -> Labels:
    """Labels of a sample, in the order they are written."""
    return tuple(values.items())


def exposed(families: Iterable[Family]) -> str:
    """The text that Prometheus scrapes, and that its textfile collector reads."""
    lines = []
    for one in families:
        lines += [f"# HELP {one.name} {_escaped(one.help)}", f"# TYPE {one.name} {one.kind}"]
        lines += [f"{one.name}{_shown(of)} {value:.17g}" for of, value in one.samples.items()]
    return "".join(f"{line}\n" for line in lines)


def samples_in(text: str) -> dict[tuple[str, Labels], float]:
    """The samples of a text that :func:`exposed` wrote; lines that are none are left out."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#") and (match := _SAMPLE.match(line)):
            of = tuple((name, _unescaped(value)) for name, value in _LABEL.findall(match["labels"] or ""))
            found[match["name"], of] = float(match["value"])
    return found


def merged(texts: Sequence[str]) -> str:
    """Several texts as one: what says the same metric stands together, as the format demands."""
    heads: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for line in (line for text in texts for line in text.splitlines() if line):
        if line.startswith("#"):
            name = line.split(" ", 3)[2]
            if line not in (kept := heads.setdefault(name, [])) and len(kept) < 2:
                kept.append(line)
        else:
            values.setdefault(re.split(r"[{ ]", line, maxsplit=1)[0], []).append(line)
    return "".join(f"{line}\n" for name, head in heads.items() for line in (*head, *values.get(name, ())))


def _shown(of: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in of) + "}" if of else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    shown = text.replace("\\", "\\\\").replace("\n", "\\n")
    return shown.replace('"', '\\"') if quotes else shown


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
