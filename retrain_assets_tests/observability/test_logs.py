"""The log as JSON: one object a line, with the ids of the work, in every thread and task."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextvars import copy_context
from threading import Thread

import pytest

from retrain_assets.observability import bound, current_ids, set_up_logging, trace_id_of
from retrain_assets.observability.context import IDS
from retrain_assets.observability.logs import LOGGER, logging_config
from retrain_assets.serving.gateway.run import LOGGING


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The product's logger, afterwards as it was."""
    log = logging.getLogger(LOGGER)
    before = (list(log.handlers), log.level, log.propagate)
    yield log
    log.handlers[:], log.level, log.propagate = before


def test_each_record_is_one_object_with_every_id(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_LOG", "json")
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    stream = io.StringIO()
    set_up_logging(stream)
    set_up_logging(stream)
    with bound(model="churn", retrain="2024-04-01", run_id="r-1"):
        with bound(toggle="churn-2024-04-01"):
            logging.getLogger(f"{LOGGER}.release").info("in two\nlines: %s", "grün")
        logging.getLogger(LOGGER).error("outside of the toggle")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["level"], first["logger"]) == ("in two\nlines: grün", "INFO", f"{LOGGER}.release")
    assert {name: first[name] for name in IDS} == {
        "model": "churn",
        "retrain": "2024-04-01",
        "toggle": "churn-2024-04-01",
        "run_id": "r-1",
        "environment": "staging",
        "trace_id": trace_id_of("churn", "2024-04-01"),
    }
    assert second["toggle"] == ""


def test_nothing_changes_where_nothing_is_asked_for(log: logging.Logger) -> None:
    handlers = list(log.handlers)
    set_up_logging()
    assert log.handlers == handlers
    assert logging_config(LOGGING) is LOGGING


def test_the_level_holds_and_a_misspelt_setting_is_told(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_LOG", "jason")
    monkeypatch.setenv("RETRAIN_LOG_LEVEL", "warning")
    stream = io.StringIO()
    set_up_logging(stream)
    log.info("quiet")
    log.warning("loud")
    lines = stream.getvalue().splitlines()
    assert "RETRAIN_LOG: 'jason' is not a form of the log; write json or text" in lines[0]
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["loud"]


def test_a_thread_that_is_given_the_context_has_the_ids_and_another_has_none() -> None:
    found: dict[str, str] = {}
    with bound(model="churn"):
        context = copy_context()
        threads = [
            Thread(target=context.run, args=(lambda: found.update(given=current_ids()["model"]),)),
            Thread(target=lambda: found.update(bare=current_ids()["model"])),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert found == {"given": "churn", "bare": ""}


def test_the_gateways_log_is_json_too(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging.config

    monkeypatch.setenv("RETRAIN_LOG", "json")
    stream = io.StringIO()
    config = logging_config(LOGGING)
    handlers = {name: {**one, "stream": stream} for name, one in config["handlers"].items()}
    uvicorn = logging.getLogger("uvicorn")
    before = (list(uvicorn.handlers), uvicorn.level, uvicorn.propagate)
    try:
        logging.config.dictConfig({**config, "handlers": handlers})
        with bound(model="churn"):
            log.info("answered")
    finally:
        uvicorn.handlers[:], uvicorn.level, uvicorn.propagate = before
    assert json.loads(stream.getvalue())["model"] == "churn"
