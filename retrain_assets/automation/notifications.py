"""Messages to people through Apprise: where they go, how long sending may take, and what may be said of one that was not taken.

A URL of a messaging service is a secret as a whole: its tokens stand in host and path. So it is named by its place in the
contract and its scheme, and of what Apprise says about it only the kind of failure is passed on.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from retrain_assets.contract import RetrainError, digest_of
from retrain_assets.contract.notify import Notify, Role

if TYPE_CHECKING:
    from apprise import Apprise

SECONDS = 10.0
"""Longest that sending may take, all recipients together; Dagster gives a sensor's tick a minute."""

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_STATUS = re.compile(r"error=(\d{3})\b")


class Urgency(StrEnum):
    """By when somebody has to act, most urgent first."""

    NOW = "now"
    TODAY = "today"
    THIS_WEEK = "this week"
    TO_KNOW = "to know"


_KIND = {Urgency.NOW: "failure", Urgency.TODAY: "warning", Urgency.THIS_WEEK: "warning", Urgency.TO_KNOW: "info"}
"""Apprise's kind of notification: colour and sign in services that have them."""


@dataclass(frozen=True, slots=True)
class Message:
    """One title line and a body of plain text."""

    title: str
    body: str
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of the contract's ``notify``.

    Args:
        place: where it stands first: ``[0]`` of a plain list, ``.release[0]`` of a role's.
        written: as written there: an Apprise URL, or ``${NAME}`` of the variable that holds it.
        roles: what it is told of.
    """

    place: str
    written: str
    roles: frozenset[Role] = frozenset(Role)

    @property
    def name(self) -> str:
        """How it is named to people: place and variable or scheme, never the URL."""
        return f"notify{self.place} {shown(self.written)}"

    @property
    def key(self) -> str:
        """What it is kept under, whatever its place and its roles."""
        return digest_of(self.written)[7:19]

    def url(self, environment: Mapping[str, str]) -> str:
        """The URL it stands for.

        Raises:
            RetrainError: the variable is not set.
        """
        variable = _VARIABLE.fullmatch(self.written)
        if variable is None:
            return self.written
        if not (url := environment.get(variable[1], "").strip()):
            raise RetrainError(
                f"the environment variable {variable[1]} is not set",
                where=self.name,
                remedy="set it to an Apprise URL where the Dagster code location runs",
            )
        return url


def recipients_of(notify: Notify) -> list[Recipient]:
    """The recipients of a contract, each once, with all roles it has."""
    return [Recipient(place, written, roles) for written, (place, roles) in notify.services().items()]


def shown(written: str) -> str:
    """An entry as it may be shown: the variable's name, or the scheme alone."""
    return written if _VARIABLE.fullmatch(written) else f"{written.partition('://')[0]}://…"


def send(
    letters: Sequence[tuple[Recipient, Message]], *, environment: Mapping[str, str] | None = None, seconds: float = SECONDS
) -> list[str | None]:
    """Send everybody's message, all side by side; of each in turn what kept it from being taken, None where it was.

    Args:
        letters: to whom, and what; of several models the same recipient may get one each.
        environment: where ``${NAME}`` is looked up; the process's own when None.
        seconds: after which nobody is waited for any more. What is under way then may still arrive, and counts as not taken.
    """
    found = os.environ if environment is None else environment
    errands = [_Errand(recipient, message, *_service(recipient, found)) for recipient, message in letters]
    for errand in errands:
        errand.start()
    deadline = time.monotonic() + seconds
    for errand in errands:
        errand.join(max(0.0, deadline - time.monotonic()))
    return [errand.fault_within(seconds) for errand in errands]


class _Errand(threading.Thread):
    """One recipient's message; a daemon, as a service that never answers must not keep the process from ending."""

    def __init__(self, recipient: Recipient, message: Message, service: Apprise | None, fault: str | None) -> None:
        super().__init__(name=f"notify-{recipient.key}", daemon=True)
        self.recipient, self._message, self._service, self._fault = recipient, message, service, fault

    def run(self) -> None:
        if self._service is not None and (refusal := _refusal(self._service, self._message)) is not None:
            self._fault = f"{self.recipient.name}: {refusal}"

    def fault_within(self, seconds: float) -> str | None:
        """What kept the message from being taken by now."""
        return f"{self.recipient.name}: no answer within {seconds:g} s" if self.is_alive() else self._fault


def _service(recipient: Recipient, environment: Mapping[str, str]) -> tuple[Apprise | None, str | None]:
    """The service behind a recipient, or why there is none: its variable is not set, or Apprise cannot read the URL."""
    try:
        url = recipient.url(environment)
    except RetrainError as error:
        return None, error.line
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what its plugins import
        import apprise

        _keep_quiet()
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="retrain_assets", async_mode=False, service_timeout=0))
        known = service.add(url)
    fault = f"{recipient.name}: Apprise cannot read the URL; write it as its documentation says for the service"
    return (service, None) if known else (None, fault)


def _refusal(service: Apprise, message: Message) -> str | None:
    """Send one message; None when it was taken, else why not, in words that hold nothing of the URL."""
    from apprise import NotifyFormat, NotifyType

    kind = NotifyType(_KIND[message.urgency])
    try:
        result = service.notify(body=message.body, title=message.title, notify_type=kind, body_format=NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001 - a service's plugin may raise anything, and its text may hold the URL
        return f"its Apprise plugin failed ({type(error).__name__})"
    if result:
        return None
    said = " ".join(entry.message for entry in result.logs())
    if (status := _STATUS.search(said)) is not None:
        return f"the service answered with HTTP status {status[1]}"
    return "the service cannot be reached" if "onnection error" in said else "the service did not take the message"


def _keep_quiet() -> None:
    """Keep what Apprise logs out of the process's log: it names URLs and tokens."""
    log = logging.getLogger("apprise")
    if not any(isinstance(handler, logging.NullHandler) for handler in log.handlers):
        log.addHandler(logging.NullHandler())
    log.propagate = False
