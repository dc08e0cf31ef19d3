"""The log of the product: lines for people by default, one JSON object a line for machines, each with the ids of its work."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, TextIO

from retrain_assets.observability.context import current_ids

LOGGER = "retrain_assets"
TEXT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
FIELDS = "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


def set_up_logging(stream: TextIO | None = None) -> None:
    """Write the log as ``RETRAIN_LOG`` (`json` or `text`) and ``RETRAIN_LOG_LEVEL`` say; without either nothing is changed.

    Safe to call again. What is neither is told once and read as `text` and INFO.

    Args:
        stream: where to; stderr by default.
    """
    if not (os.environ.get("RETRAIN_LOG") or os.environ.get("RETRAIN_LOG_LEVEL")):
        return
    log = logging.getLogger(LOGGER)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(formatter())
    handler.addFilter(with_ids)
    for known in [one for one in log.handlers if isinstance(one, _Handler)]:
        log.removeHandler(known)
    log.addHandler(handler)
    log.setLevel(_level())
    log.propagate = False
    _tell_misspelt(log)


def formatter() -> logging.Formatter:
    """The formatter that ``RETRAIN_LOG`` asks for."""
    if not is_json():
        return logging.Formatter(TEXT)
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(FIELDS, rename_fields=_NAMES, datefmt="%Y-%m-%dT%H:%M:%S%z", json_ensure_ascii=False)


def is_json() -> bool:
    """Whether the log is for machines."""
    return (os.environ.get("RETRAIN_LOG") or "").lower() == "json"


def with_ids(record: logging.LogRecord) -> bool:
    """A filter that lets everything through, with the ids of the moment; what a record brings itself stays."""
    for name, value in current_ids().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


def logging_config(config: dict[str, Any]) -> dict[str, Any]:
    """A ``dictConfig`` whose handlers write as the environment asks."""
    if not (os.environ.get("RETRAIN_LOG") or os.environ.get("RETRAIN_LOG_LEVEL")):
        return config
    formatters = {name: {"()": "retrain_assets.observability.logs.formatter"} for name in config["formatters"]}
    handlers = {name: {**one, "filters": ["ids"]} for name, one in config["handlers"].items()}
    loggers = {name: {**one, "level": _level()} for name, one in config["loggers"].items()}
    filters = {"ids": {"()": "retrain_assets.observability.logs.ids_filter"}}
    return {**config, "formatters": formatters, "handlers": handlers, "loggers": loggers, "filters": filters}


def ids_filter() -> Any:
    """:func:`with_ids`, as ``dictConfig`` makes filters."""
    return with_ids


class _Handler(logging.StreamHandler[Any]):
    """The one handler that this module puts there, so that it finds it again."""


def _level() -> str:
    asked = (os.environ.get("RETRAIN_LOG_LEVEL") or "INFO").upper()
    return asked if asked in LEVELS else "INFO"


def _tell_misspelt(log: logging.Logger) -> None:
    written, level = os.environ.get("RETRAIN_LOG") or "text", os.environ.get("RETRAIN_LOG_LEVEL") or "INFO"
    if written.lower() not in ("json", "text"):
        log.warning("RETRAIN_LOG: %r is not a form of the log; write json or text", written)
    if level.upper() not in LEVELS:
        log.warning("RETRAIN_LOG_LEVEL: %r is not a level; write one of %s", level, ", ".join(LEVELS))
