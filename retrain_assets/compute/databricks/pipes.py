"""The orchestrator's end of Dagster Pipes for a task of an order: what the task writes on the volume comes to the asset's step.

A task that was sent ahead is begun before its asset's session, so messages are at a place that both know from the order. They are
read between two looks at the run: no thread, and nothing to wait for when the task has ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from retrain_assets.compute.databricks.volume import Volume

if TYPE_CHECKING:
    from dagster import PipesMessageReader


class Session:
    """One step that listens to one task; silent where there is no step.

    Args:
        volume: where messages are.
        context: the Dagster execution context, or None.
    """

    def __init__(self, volume: Volume, context: Any) -> None:
        self._volume = volume
        self._context = context
        self._handle: Callable[[dict[str, Any]], None] | None = None
        self._session: Any = None
        self._folder: str | None = None
        self._next = 1

    @property
    def context_data(self) -> dict[str, Any]:
        """What the task is told of the step: asset, partition, run."""
        return dict(self._session.context_data) if self._session is not None else {}

    @property
    def reported(self) -> tuple[Any, ...]:
        """The check results that the task has reported."""
        from dagster import AssetCheckResult

        if self._session is None:
            return ()
        return tuple(one for one in self._session.get_reported_results() if isinstance(one, AssetCheckResult))

    def listen(self, folder: str) -> None:
        """Messages are in this folder from now on."""
        self._folder, self._next = folder, 1

    def look(self) -> None:
        """Take the messages that have come."""
        if self._handle is None or self._folder is None:
            return
        while (text := self._volume.read(f"{self._folder}/{self._next}.json")) and text.endswith(b"\n"):
            self._take(text)
            self._next += 1

    def close(self) -> None:
        """Take what has come at last; of a file that was cut off what is whole."""
        if self._handle is None or self._folder is None:
            return
        self.look()
        if rest := self._volume.read(f"{self._folder}/{self._next}.json"):
            self._take(rest.rpartition(b"\n")[0])
            self._context.log.warning(f"the job's messages end in the middle of {self._folder}/{self._next}.json")

    @contextmanager
    def open(self) -> Iterator[Session]:
        """The session while the task is waited for. Dagster warns there of what Dagster itself calls."""
        if self._context is None:
            yield self
            return
        from dagster import open_pipes_session

        reader = _reader(self)
        with ExitStack() as stack:
            with catch_warnings():
                filterwarnings("ignore", message="AssetExecutionContext", category=DeprecationWarning)
                self._session = stack.enter_context(open_pipes_session(self._context, _injector(), reader))
            stack.callback(self.close)
            yield self

    def _take(self, text: bytes) -> None:
        for line in text.decode(errors="replace").split("\n"):
            if (message := _message(line)) is None:
                if line:
                    self._context.log.warning(f"no message of a stage, left out, in {self._folder}: {line[:200]}")
                continue
            if message["method"] == "report_asset_check" and self._context.has_assets_def:
                message["params"]["asset_key"] = self._context.asset_key.to_escaped_user_string()
            assert self._handle is not None
            self._handle(message)

    def _handled_by(self, handle: Callable[[dict[str, Any]], None] | None) -> None:
        self._handle = handle


def _message(line: str) -> dict[str, Any] | None:
    """What a stage says in a line; None where it is nothing that stages say. The volume's other writers say nothing here."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    is_known = isinstance(value, dict) and value.get("method") in _METHODS and "params" in value
    return value if is_known else None


_METHODS = ("opened", "closed", "log", "log_external_stream", "report_asset_check", "report_custom_message")


def _reader(session: Session) -> PipesMessageReader:
    from dagster import PipesMessageReader

    class Messages(PipesMessageReader):
        """Hands the session's messages to Dagster's handler. One task writes them; Dagster warns of its own default of that."""

        expected_writer_count = 1

        @contextmanager
        def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
            session._handled_by(handler.handle_message)
            try:
                yield {}
            finally:
                session._handled_by(None)

        def no_messages_debug_text(self) -> str:
            return f"Messages are expected in {session._folder}."

    return Messages()


def _injector() -> Any:
    from dagster import PipesContextInjector

    class InOrder(PipesContextInjector):
        """The context travels in the order itself."""

        @contextmanager
        def inject_context(self, context_data: Any) -> Iterator[dict[str, Any]]:
            yield {}

        def no_messages_debug_text(self) -> str:
            return "The context is part of the order on the volume."

    return InOrder()
