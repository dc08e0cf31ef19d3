"""Requests to a gateway: kept-alive connections, repeated only where that is safe, every refusal in the gateway's own line."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import orjson
import requests

from retrain_assets.contract import RetrainError

REPEATED = frozenset({429, 502, 503})
"""Statuses that say: not now."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
ENOUGH = 0.005
"""Seconds below which it is not worth asking again."""


class GatewayError(RetrainError):
    """The gateway refused, failed or did not answer.

    Args:
        what: what is wrong, as the gateway says it.
        where: where.
        remedy: what to do.
        status: HTTP status; 0 where there was no answer.
        code: the gateway's code of the fault, on which a program may rely; ``unreachable`` where there was no answer.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "", status: int = 0, code: str = "unreachable") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.status = status
        self.code = code


class Transport:
    """One gateway. May be shared by threads, each of which has connections of its own.

    Args:
        url: its address, ``http://127.0.0.1:8080``.
        token: sent with every request.
        timeout: seconds a call may take in all, repetitions included.
        pause: how seconds are waited.

    Raises:
        GatewayError: where the address has no scheme.
    """

    def __init__(self, url: str, token: str | None, timeout: float, pause: Callable[[float], None] = time.sleep) -> None:
        if not url.startswith(("http://", "https://")):
            remedy = "write it like http://127.0.0.1:8080"
            raise GatewayError(f"{url!r} is no address of a gateway", where="url", remedy=remedy, code="no_address")
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._pause = pause
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def get(self, path: str) -> Any:
        """The answer to a GET, from JSON.

        Raises:
            GatewayError: for any answer but a good one, or none in time.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer to a POST that does no harm when it arrives twice; as :meth:`get`."""
        try:
            data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise GatewayError(
                f"cannot be written as JSON ({error})", where=path, remedy="send text, numbers, booleans or null", code="not_json"
            ) from error
        return self._ask("POST", path, data)

    def close(self) -> None:
        """Close every connection."""
        for session in self._sessions:
            session.close()

    def _ask(self, method: str, path: str, data: bytes | None) -> Any:
        deadline, pause = time.monotonic() + self._timeout, FIRST_PAUSE
        while True:
            left = max(deadline - time.monotonic(), ENOUGH)
            try:
                answer = self._session().request(
                    method, self.url + path, data=data, headers=self._headers, timeout=left, allow_redirects=False
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                fault = GatewayError(f"does not answer ({_reason(error)})", where=self.url, remedy="start it with retrain serve")
                wait = pause * (0.5 + random.random() / 2)
                if time.monotonic() + wait + ENOUGH >= deadline:
                    raise fault from error
            except requests.RequestException as error:
                raise GatewayError(f"cannot be asked ({error})", where=self.url, remedy="check the address") from error
            else:
                if answer.status_code == requests.codes.ok:
                    return _parsed(answer)
                wait = _retry_after(answer, pause)
                if answer.status_code not in REPEATED or time.monotonic() + wait + ENOUGH >= deadline:
                    _refuse(answer)
            self._pause(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            session.trust_env = False  # no proxy, no .netrc: the token goes where the address says
            self._sessions.append(session)
        return session


def _parsed(answer: requests.Response) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        remedy = "check that the address is a gateway's"
        raise GatewayError("the answer is not JSON", where=answer.url, remedy=remedy, status=200, code="not_a_gateway") from error


def _refuse(answer: requests.Response) -> NoReturn:
    """Raise what the gateway says, in its own form or OFREP's; of anybody else's answer the status."""
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and isinstance(told := body.get("error"), dict):
        raise GatewayError(
            str(told.get("message", "")),
            where=str(told.get("where", "")),
            remedy=str(told.get("remedy", "")),
            status=answer.status_code,
            code=str(told.get("code", "")),
        )
    if isinstance(body, dict) and "errorCode" in body:
        what, code = str(body.get("errorDetails") or body["errorCode"]), str(body["errorCode"]).lower()
        raise GatewayError(what, where=answer.url, status=answer.status_code, code=code)
    raise GatewayError(
        f"answered {answer.status_code} {answer.reason}",
        where=answer.url,
        remedy="check that the address is a gateway's",
        status=answer.status_code,
        code="not_a_gateway",
    )


def _retry_after(answer: requests.Response, pause: float) -> float:
    try:
        return max(0.0, float(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        return pause


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "not in time"
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", inner)).rpartition(": ")[2] or type(error).__name__
