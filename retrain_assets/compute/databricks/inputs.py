"""The inputs of a request: which content they have, and where it is on the volume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retrain_assets.compute.code import code_facts
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.compute.local import RESULT, content_digest
from retrain_assets.compute.places import is_on_volume
from retrain_assets.compute.request import StageRequest
from retrain_assets.contract.compute import Engine


def input_digests(mirror: Mirror, request: StageRequest) -> dict[str, str]:
    """Content digests of a request's inputs; of one on the volume the digest that its stage's result here names, empty
    where there is none.

    Raises:
        RetrainError: when one that should be here is not.
    """
    return {name: _digest(mirror, request, name) for name in sorted(request.inputs)}


@dataclass(frozen=True)
class Inputs:
    """Inputs of requests, between one home and the folder of a volume that mirrors it."""

    mirror: Mirror
    volume: Volume

    def there(
        self, request: StageRequest, *, before: Sequence[StageRequest] = (), engine: Engine = "single_node"
    ) -> StageRequest:
        """The request as the job gets it: places on the volume, inputs uploaded where they are not there yet.

        Args:
            request: as it is formed here.
            before: requests of the same order, which make some of its inputs.
            engine: what the stage runs on there.

        Raises:
            RetrainError: when an input is neither here nor made by one of those.
        """
        contract = request.parsed_contract()
        return replace(
            request,
            inputs={name: self._place(request, name, before) for name in request.inputs},
            output_dir=self.mirror.there(request.directory),
            engine=engine,
            code=request.code or code_facts(contract.features),
            unit_key=b"",
        )

    def made_ahead(self, request: StageRequest, before: Sequence[StageRequest]) -> set[str]:
        """Names of the inputs that earlier requests of the same order make."""
        return {
            name
            for name, uri in request.inputs.items()
            if not is_on_volume(uri) and any(Path(uri).is_relative_to(one.directory) for one in before)
        }

    def _place(self, request: StageRequest, name: str, before: Sequence[StageRequest]) -> str:
        uri = request.inputs[name]
        if is_on_volume(uri):
            return uri
        path = Path(uri)
        if name in self.made_ahead(request, before):
            return self.mirror.there(path)
        path = request.input(name)
        if path.absolute().is_relative_to(self.mirror.home.absolute() / "traffic"):
            there = self.mirror.there(path)
            return self.volume.upload(path, there) if path.is_file() else self.volume.mirror(path, there)
        digest = content_digest(path)
        if (known := self._left_there(path, digest)) is not None:
            return known
        if (path / "manifest.json").exists():
            return self.volume.upload(path, self.mirror.bundle(digest))
        place = self.mirror.content(digest)
        return self.volume.upload(path, f"{place}/{path.name}" if path.is_file() else place)

    def _left_there(self, path: Path, digest: str) -> str | None:
        """Where the job that made a local copy left the original, if it is still there."""
        output = _recorded(path, str(path))
        if output is None or output["digest"] != digest:
            return None
        uri = output.get("there")
        if uri is None:
            return None
        there = self.volume.has(uri) if path.is_file() else self.volume.has_folder(uri)
        return uri if there else None


def _digest(mirror: Mirror, request: StageRequest, name: str) -> str:
    uri = request.inputs[name]
    if not is_on_volume(uri):
        return content_digest(request.input(name))
    if not uri.startswith(f"{mirror.volume}/"):
        return ""
    recorded = _recorded(mirror.here(uri), uri)
    return "" if recorded is None else recorded["digest"]


def _recorded(path: Path, uri: str) -> Mapping[str, Any] | None:
    """``{"digest", "there"}`` of an output by where it is, from the result in one of the folders above it."""
    for folder in path.parents[:3]:
        try:
            record = json.loads((folder / RESULT).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        there = record.get("run", {}).get("databricks", {}).get("there", {})
        for name, output in record.get("outputs", {}).items():
            if output["uri"] == uri:
                return {"digest": output["digest"], "there": there.get(name)}
    return None
