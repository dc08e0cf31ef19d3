"""The task's end of Dagster Pipes: messages and what the stage prints, as numbered files on the volume."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from dagster_pipes import PipesContext, PipesMessageWriter, PipesParamsLoader

SECONDS_BETWEEN_FILES = 2.0


@contextmanager
def reporting(messages: Path, context: Mapping[str, Any]) -> Iterator[PipesContext]:
    """A Pipes context whose messages are files ``1.json``, ``2.json``, … of a folder, and that what is printed goes to as well.

    A file ends with a line break; one that does not is not whole yet. A task that is begun again continues the numbers.

    Args:
        messages: the folder.
        context: the step's context, from the order.
    """
    from dagster_pipes import open_dagster_pipes

    with (
        open_dagster_pipes(message_writer=_writer(messages), params_loader=_parameters(context)) as pipes,
        _printed_to(pipes),
    ):
        yield pipes


class Files:
    """Messages on their way into files; a thread writes what has come every two seconds, the end writes the rest at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: list[str] = []
        self._lock = Lock()
        self._end = Event()
        self._thread = Thread(target=self._work, daemon=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._next = 1 + max((int(path.stem) for path in folder.glob("*.json")), default=0)
        self._thread.start()

    def add(self, message: Any) -> None:
        """One message more."""
        with self._lock:
            self._lines.append(json.dumps(message))

    def close(self) -> None:
        """Write the rest; nothing comes after it."""
        self._end.set()
        self._thread.join()
        self._write()

    def _work(self) -> None:
        while not self._end.wait(SECONDS_BETWEEN_FILES):
            self._write()

    def _write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            (self._folder / f"{self._next}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._next += 1


def _writer(folder: Path) -> PipesMessageWriter[Any]:
    from dagster_pipes import PipesMessageWriter, PipesMessageWriterChannel

    class Channel(PipesMessageWriterChannel):
        """Hands messages to the files."""

        def __init__(self, files: Files) -> None:
            self._files = files

        def write_message(self, message: Any) -> None:
            self._files.add(message)

    class Writer(PipesMessageWriter[Any]):
        """Opens the files."""

        @contextmanager
        def open(self, params: Mapping[str, Any]) -> Iterator[Channel]:
            files = Files(folder)
            try:
                yield Channel(files)
            finally:
                files.close()

    return Writer()


def _parameters(context: Mapping[str, Any]) -> PipesParamsLoader:
    from dagster_pipes import PipesDefaultContextLoader, PipesParamsLoader

    silent = {
        **dict.fromkeys(("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "job_name")),
        **dict.fromkeys(("partition_key_range", "partition_time_window")),
        **{"run_id": "", "retry_number": 0, "extras": {}},
    }

    class FromOrder(PipesParamsLoader):
        """The context is in the order; asset keys are not: the task may be another asset's, sent ahead."""

        def is_dagster_pipes_process(self) -> bool:
            return True

        def load_context_params(self) -> dict[str, Any]:
            return {PipesDefaultContextLoader.DIRECT_KEY: {**silent, **context, "asset_keys": None}}

        def load_messages_params(self) -> dict[str, Any]:
            return {}

    return FromOrder()


@contextmanager
def _printed_to(pipes: PipesContext) -> Iterator[None]:
    out, err = sys.stdout, sys.stderr
    tees = _Tee(out, pipes, "stdout"), _Tee(err, pipes, "stderr")
    sys.stdout, sys.stderr = tees
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        for tee in tees:
            tee.close_pipe()


class _Tee:
    """A text stream whose text also goes to Pipes as long as that is open; everything else is the stream's own."""

    def __init__(self, stream: TextIO, pipes: PipesContext, name: str) -> None:
        self._stream = stream
        self._pipes: PipesContext | None = pipes
        self._name = name

    def write(self, text: str) -> int:
        if self._pipes is not None:
            self._pipes.log_external_stream(self._name, text)
        return self._stream.write(text)

    def close_pipe(self) -> None:
        """Whoever keeps the stream, a log handler say, writes to the stream alone from now on."""
        self._pipes = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
