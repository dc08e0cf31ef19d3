"""A verification in words, short enough for three in the morning: one line a part, below it what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrain_assets.cli.verify.home import Verification
from retrain_assets.contract import RetrainError, allowed_signers

_WIDTH = 13
_HEAD = re.compile(r"([1-9]\d{0,17}):([0-9a-f]{64})")


def verdict_lines(found: Verification) -> Iterable[str]:
    """One line for each part, the faults and notes of a part below its line."""
    told: dict[str, str] = {}
    for part in found.parts:
        same = told.setdefault(part.unchecked, part.name) if part.unchecked and not part.faults else part.name
        verdict = part.verdict if same == part.name else f"NOT CHECKED: for the same reason as {same}"
        yield f"{part.name + ':':<{_WIDTH}}{verdict}"
        for line in part.lines():
            yield f"{'':<{_WIDTH}}{line}"


def public_keys(files: Sequence[Path]) -> list[str] | None:
    """The public keys in ``.pub`` files; None where no file is named.

    Raises:
        RetrainError: naming the file that holds none.
    """
    if not files:
        return None
    return [_public_key(file) for file in files]


def kept_heads(written: Sequence[str]) -> list[tuple[int, str]]:
    """Heads that somebody kept elsewhere, as sequence and hash.

    Raises:
        RetrainError: naming the one that is no head.
    """
    found = []
    for one in written:
        if (match := _HEAD.fullmatch(one.strip())) is None:
            raise RetrainError(
                f"{one!r} is no head", where="--anchor", remedy="write SEQUENCE:HASH as retrain audit checkpoint printed it"
            )
        found.append((int(match[1]), match[2]))
    return found


def _public_key(file: Path) -> str:
    try:
        (line,) = file.read_text(encoding="utf-8").strip().splitlines()
        allowed_signers(f"system {line}")
    except OSError as error:
        raise RetrainError(f"it cannot be read ({error.strerror})", where=str(file), remedy="name the .pub file") from error
    except ValueError as error:
        raise RetrainError(
            "it is not a public SSH key", where=str(file), remedy="name the .pub file, one line such as ssh-ed25519 AAAA…"
        ) from error
    return line
