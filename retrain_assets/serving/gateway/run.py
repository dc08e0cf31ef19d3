"""Running a gateway: one socket, several worker processes that are started again when they die, an end that loses nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config

from retrain_assets.contract import Refused, RetrainError
from retrain_assets.home import Home
from retrain_assets.observability.logs import logging_config
from retrain_assets.release.access import tokens_path
from retrain_assets.serving.gateway.metrics_files import fresh_metrics_folder
from retrain_assets.serving.gateway.options import Options
from retrain_assets.serving.gateway.supervisor import Supervisor

if TYPE_CHECKING:
    from fastapi import FastAPI

WORKER = "retrain_assets.serving.gateway.run:worker"
OPTIONS = "RETRAIN_GATEWAY"
"""Environment variable that hands the options to the workers."""

KEEP_ALIVE_SECONDS = 75
"""Longer than the idle time of usual load balancers, so that none of them reuses a connection that is being closed."""

LIGHTGBM_GOES_WITHOUT = ("sklearn", "pandas", "pyarrow", "dask", "matplotlib", "graphviz")
"""Imported by lightgbm where they are there, and not used to score a stored model: two thirds of a worker's memory of its own."""

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "retrain_assets": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


def run_gateway(
    home: Home,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 2,
    options: Options | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve a home until SIGTERM or SIGINT; then requests under way are answered and everything is sealed.

    Args:
        home: the home.
        host: name or address to listen on; one that others can reach needs tokens.
        port: port to listen on; 0 takes a free one.
        workers: worker processes.
        options: what each of them is told.
        announce: gets one line with the address as soon as every worker answers.

    Raises:
        Refused: others could reach it, and there are no tokens.
        RetrainError: the address cannot be had, or a worker cannot start.
    """
    told = options or Options()
    with _listening(host, port) as listener:
        address = _url(listener)
        is_open = not ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
        if is_open and not tokens_path(home).exists():
            raise Refused(
                f"{address} can be reached from elsewhere, and there are no tokens",
                where="serve",
                remedy="make one with retrain token add, or serve on 127.0.0.1",
            )
        os.environ["RETRAIN_HOME"] = str(home.root)
        os.environ[OPTIONS] = replace(told, open_to_others=is_open).to_text()
        config = Config(
            WORKER,
            factory=True,
            workers=workers,
            loop="uvloop",
            http="retrain_assets.serving.gateway.connection:Connection",
            ws="none",
            lifespan="on",
            log_config=logging_config(LOGGING),
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=told.drain_seconds,
        )
        plural = "worker" if workers == 1 else "workers"
        supervisor = Supervisor(config, [listener], lambda: announce(f"serving {home.root} at {address} with {workers} {plural}"))
        metrics = fresh_metrics_folder(home)
        try:
            supervisor.run()
        finally:
            metrics.close()
        if supervisor.failed:
            raise RetrainError("a worker could not start", where="serve", remedy="its log above says why")


def worker() -> FastAPI:
    """One worker's application, made in the worker process from its environment."""
    from retrain_assets.serving.gateway.app import create_app

    options = Options.from_text(os.environ.get(OPTIONS, "{}"))
    sys.setswitchinterval(options.switch_interval_ms / 1000)
    _end_with_the_supervisor()
    _import_lightgbm_alone()
    return create_app(Home.from_environment(), options)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise _no_address(f"{host}: {error.strerror}", "give --host a name or an address of this machine") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise _no_address(f"port {port} of {host} is taken", "give another with --port; 0 takes a free one") from error
        raise _no_address(f"{host}:{port}: {error.strerror}", "give --host and --port of this machine") from error
    return listener


def _no_address(what: str, remedy: str) -> RetrainError:
    return RetrainError(what, where="serve", remedy=remedy)


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if listener.family == socket.AF_INET6 else f"http://{address}:{port}"


def _import_lightgbm_alone() -> None:
    """Import lightgbm without what it would only need for training; other models may import that later all the same."""
    absent = [name for name in LIGHTGBM_GOES_WITHOUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        import lightgbm  # noqa: F401 (imported so, it stays so)
    finally:
        for name in absent:
            del sys.modules[name]


def _end_with_the_supervisor() -> None:
    """Have a worker end when its supervisor is gone, so that a killed gateway leaves no workers that hold its port."""
    import asyncio

    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        sentinel = supervisor.sentinel
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(sentinel)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(sentinel, gone)
