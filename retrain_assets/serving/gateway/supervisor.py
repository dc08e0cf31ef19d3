"""The process that starts the workers, replaces those that die or hang, and ends them; it waits for none that cannot answer."""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Callable

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

START_SECONDS = 60.0
"""Time without a sign of life after which a worker is taken for hung, and time the successor of a worker has to answer."""

SEALING_SECONDS = 15
"""Time a worker has, after its last request, to bring what it journalled into files; one that is killed then loses nothing."""

_LOG = logging.getLogger(__name__)


class Supervisor(Multiprocess):
    """uvicorn's supervisor, with an eye on every worker at any time.

    uvicorn's own waits for a worker that was stopped or killed at the wrong moment, and replaces nobody, nor ends, meanwhile.

    Args:
        config: how the workers serve.
        sockets: what they listen on.
        ready: called once, when every worker answers.
    """

    def __init__(self, config: Config, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, sockets)
        self._ready = ready
        self._asked: dict[Process, float] = {}
        self.failed = False

    def init_processes(self) -> None:
        """Start the workers and wait until they answer."""
        super().init_processes()
        while not self.should_exit.is_set():
            self.handle_signals()
            if all(process.is_ready(timeout=0.1) for process in self.processes):
                self._ready()
                return
            self.keep_subprocess_alive()
            time.sleep(0.02)

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have ended, and those that have shown no sign of life for long; one that cannot start ends all."""
        for place, process in enumerate(self.processes):
            if process.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
            if self.should_exit.is_set():
                return
            if process.process.is_alive() and self._shows_life(process):
                continue
            _LOG.warning("worker %s %s", process.pid, "hangs" if process.process.is_alive() else "died")
            self._asked.pop(process, None)
            process.kill()
            process.join()
            self.processes[place] = self._started()

    def restart_all(self) -> None:
        """Replace one worker after the other, each when its successor answers."""
        for place, old in enumerate(self.processes):
            successor, deadline = self._started(), time.monotonic() + START_SECONDS
            while not successor.is_ready(timeout=0.1):
                if self._is_to_end() or not successor.process.is_alive() or time.monotonic() > deadline:
                    _LOG.warning("worker %s is not ready, the old ones stay", successor.pid)
                    successor.kill()
                    successor.process.join()
                    return
                time.sleep(0.02)
            self.processes[place] = successor
            self._asked.pop(old, None)
            old.terminate()
            self._see_end(old, self._deadline())

    def join_all(self) -> None:
        """Wait for the workers; one that still hangs after its time is killed, what it journalled is sealed by the next one."""
        deadline = self._deadline()
        for process in self.processes:
            self._see_end(process, deadline)

    def _started(self) -> Process:
        process = Process(self.config, self.sockets)
        process.start()
        return process

    def _shows_life(self, process: Process) -> bool:
        """Whether a worker has answered since it was asked, or still has time to; asks it where it has."""
        try:
            answered = False
            while process.parent_conn.poll(0):
                process.parent_conn.recv()
                answered = True
            if answered or process not in self._asked:
                process.parent_conn.send(b"ping")
                self._asked[process] = time.monotonic()
        except (OSError, EOFError):
            return False
        return time.monotonic() - self._asked[process] < START_SECONDS

    def _is_to_end(self) -> bool:
        """Whether a signal waits that ends the gateway, as soon as what goes on is given up."""
        return not {signal.SIGTERM, signal.SIGINT}.isdisjoint(self.signal_queue)

    def _deadline(self) -> float:
        return time.monotonic() + (self.config.timeout_graceful_shutdown or 0) + SEALING_SECONDS

    @staticmethod
    def _see_end(process: Process, deadline: float) -> None:
        process.process.join(max(0.0, deadline - time.monotonic()))
        if process.process.is_alive():
            process.process.kill()
            process.process.join()
