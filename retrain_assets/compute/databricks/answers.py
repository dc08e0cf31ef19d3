"""What a task left on the volume: its answer brought home, or its error raised."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from time import sleep
from typing import Any

from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import StageError, errors

LOOKS = 8
SECONDS_BETWEEN_LOOKS = 0.5
"""A volume may show a file later than its writer has ended; after these looks it is missing."""

BYTES_A_MB = 1_000_000


@dataclass(frozen=True)
class Answer:
    """A task's answer as it stands on the volume.

    Args:
        result: of the stage, places as they are called there.
        inputs: content digests of the inputs it was computed from.
        files: of each output, ``{"size", "sha256"}`` by path below it.
    """

    result: StageResult
    inputs: Mapping[str, str]
    files: Mapping[str, Mapping[str, Mapping[str, Any]]]


class AnswerLost(StageError):
    """A task has ended well, and its answer is not there or not whole."""


class NotComputed(StageError):
    """A task has stopped itself, because a gate before it was not open then."""


@dataclass(frozen=True)
class Answers:
    """Reads answers from the volume and brings outputs home."""

    mirror: Mirror
    volume: Volume

    def read(self, path: str, request: StageRequest, page: str) -> Answer:
        """The answer of a task that has succeeded.

        Raises:
            AnswerLost: when it is missing or cut off.
            StageError: when it is of another request, or names a place outside the stage's own directory.
        """
        text = self.volume.read(path)
        for _ in range(LOOKS):
            if text is not None:
                break
            sleep(SECONDS_BETWEEN_LOOKS)
            text = self.volume.read(path)
        if text is None:
            raise AnswerLost(
                f"the task ended well ({page}) but left no result", where=path, remedy="launch the stage again; it is made again"
            )
        try:
            value = json.loads(text)
            found = Answer(StageResult.from_json(value["result"]), dict(value["inputs"]), dict(value["files"]))
            places = _places(found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnswerLost(
                f"the result is cut off or damaged ({len(text)} bytes)",
                where=path,
                remedy="launch the stage again; it is made again",
            ) from error
        if found.result.request_digest != request.digest:
            raise StageError(
                f"the result answers another request ({found.result.request_digest[:19]}, not {request.digest[:19]})",
                where=path,
                remedy="launch the stage again",
            )
        _refuse_other_places(places, self.mirror.there(request.directory), path)
        return found

    def raise_error(self, path: str) -> None:
        """Raise what the stage itself gave as the reason for having no result; nothing where it gave none.

        Raises:
            RetrainError: the stage's own, of its own kind.
        """
        text = self.volume.read(path)
        if text is None:
            return
        try:
            value = json.loads(text)
            kind, what, where, remedy = (str(value[name]) for name in ("kind", "what", "where", "remedy"))
        except (ValueError, KeyError, TypeError):
            return
        known = NotComputed if kind == NotComputed.__name__ else getattr(errors, kind, StageError)
        found = known if isinstance(known, type) and issubclass(known, errors.RetrainError) else StageError
        raise found(what, where=where, remedy=remedy)

    def home(self, answer: Answer, up_to_mb: float) -> tuple[StageResult, dict[str, str]]:
        """Bring home the outputs up to a size; gives the result with the places as they are now, and the places on the volume.

        Raises:
            StageError: when a file or an output is not as the stage wrote it.
        """
        outputs: dict[str, Mapping[str, str]] = {}
        there: dict[str, str] = {}
        for name, output in answer.result.outputs.items():
            files = answer.files[name]
            there[name] = output["uri"]
            place = self.mirror.here(output["uri"])
            if sum(facts["size"] for facts in files.values()) > up_to_mb * BYTES_A_MB:
                outputs[name] = output
                _remove(place)
                continue
            self._fetch(output["uri"], place, files, output["digest"])
            outputs[name] = {**output, "uri": str(place)}
        return replace(answer.result, outputs=outputs), there

    def _fetch(self, uri: str, place: Path, files: Mapping[str, Mapping[str, Any]], digest: str) -> None:
        scratch = place.with_name(place.name + ".fetching")
        _remove(scratch)
        if "" not in files:
            scratch.mkdir(parents=True)
        for name, facts in files.items():
            self.volume.download(f"{uri}/{name}" if name else uri, scratch / name if name else scratch, facts)
        if (found := content_digest(scratch)) != digest:
            _remove(scratch)
            raise StageError(
                f"the output has digest {found[:19]}, its stage wrote {digest[:19]}", where=uri, remedy="launch the stage again"
            )
        _remove(place)
        scratch.replace(place)


def _places(answer: Answer) -> dict[str, list[str]]:
    """Every place that an answer names, by output: where the output is, and its files below it.

    Raises:
        KeyError, TypeError: when it does not tell of them all.
    """
    found = {}
    for name, output in answer.result.outputs.items():
        files = answer.files[name]
        if not all(isinstance(facts["size"], int) and isinstance(facts["sha256"], str) for facts in files.values()):
            raise TypeError(f"size or digest of a file of {name} is missing")
        found[name] = [output["uri"], *(file for file in files if file)]
    return found


def _refuse_other_places(places: Mapping[str, Sequence[str]], directory: str, where: str) -> None:
    """Whoever may write on the volume may write an answer; it decides over no place but the stage's directory."""
    for name, (uri, *files) in places.items():
        if not uri.startswith(f"{directory}/") or not all(map(_is_below, [uri.removeprefix(f"{directory}/"), *files])):
            raise StageError(
                f"output {name!r} of the result lies outside {directory}",
                where=where,
                remedy="see who may write on the volume, then delete this file and launch the stage again",
            )


def _is_below(path: str) -> bool:
    """Whether a path leads from a folder to a place in it."""
    place = PurePosixPath(path)
    return place.parts != () and not place.is_absolute() and ".." not in place.parts


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
