"""What a client got and what was sent to it, held against each other: an answer is one of the SDK's own dataclasses."""

from __future__ import annotations

from typing import Any

from databricks.sdk import WorkspaceClient


class Sent:
    """The JSON answers that a client gets from now on."""

    def __init__(self, client: WorkspaceClient) -> None:
        self.all: list[dict[str, Any]] = []
        client.api_client._api_client._session.hooks["response"].append(self._note)

    def _note(self, answer: Any, **_: Any) -> None:
        if "json" in answer.headers.get("Content-Type", ""):
            self.all.append(answer.json())

    def lost(self, got: Any) -> dict[str, Any]:
        """What the client did not keep of the last answer; {} for an answer that its dataclass knows in whole."""
        return _difference(self.all[-1], got.as_dict())


def _difference(sent: Any, kept: Any) -> Any:
    if isinstance(sent, dict) and isinstance(kept, dict):
        parts = {name: _difference(one, kept.get(name)) for name, one in sent.items()}
        return {name: one for name, one in parts.items() if one not in ({}, None)}
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        parts = {place: _difference(one, two) for place, (one, two) in enumerate(zip(sent, kept, strict=True))}
        return {place: one for place, one in parts.items() if one not in ({}, None)}
    return {} if sent == kept else {"sent": sent, "kept": kept}
