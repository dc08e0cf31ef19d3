"""Who may do what over HTTP: a token's scopes and models; without a token, what programs on this machine may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from retrain_assets.contract import RetrainError
from retrain_assets.ledger import Actor
from retrain_assets.release.access import Scope, Token
from retrain_assets.serving.gateway.errors import HttpFault
from retrain_assets.serving.gateway.operations_log import log_attempt
from retrain_assets.serving.gateway.tokens import TokenFile

LOOPBACK_SCOPES = frozenset({Scope.PREDICT, Scope.OUTCOMES})
"""What a program on this machine may without a token."""

SECURITY_SCHEMES: Mapping[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token made by `retrain token add`."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same token, as OFREP clients send it."},
}
"""``components.securitySchemes`` of the OpenAPI document."""

_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
"""Headers of a proxy: the peer is not who asks."""

_OF_A_PAGE = frozenset({b"origin", b"sec-fetch-site"})
"""Headers that browsers send, and no program needs to."""

RawHeaders = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Args:
        name: the token's name; ``loopback`` without one.
        scopes: what is allowed.
        actor: in whose name operations are recorded; None without a token, which allows none.
        models: the models it is for; empty: all.
    """

    name: str
    scopes: frozenset[Scope]
    actor: Actor | None
    models: frozenset[str] = frozenset()

    def may_see(self, model: str) -> bool:
        """Whether the model is one the caller may ask about."""
        return not self.models or model in self.models


LOOPBACK = Caller("loopback", LOOPBACK_SCOPES, None)


class Unauthorized(HttpFault):
    """No token, or none that is valid."""

    status, code = 401, "unauthorized"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="retrain"'}


class InvalidToken(Unauthorized):
    """A token that is unknown, revoked or expired."""

    code = "invalid_token"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="retrain", error="invalid_token"'}


class Forbidden(HttpFault):
    """A valid token that does not allow this."""

    status, code = 403, "forbidden"


class TokensUnreadable(HttpFault):
    """Nothing is known about any token now."""

    status, code = 503, "tokens_unreadable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


def requires(scope: Scope | str) -> Callable[[Request], Awaitable[Caller]]:
    """A FastAPI dependency that gives the caller, or answers 401 or 403.

    A path parameter ``model`` (or ``key``, a flag's) must be a model the token is for; without one, see :func:`authorise`.
    """
    wanted = Scope(scope)

    async def caller(request: Request) -> Caller:
        model = request.path_params.get("model", request.path_params.get("key"))
        try:
            return authorise(request, wanted, model)
        except HttpFault as fault:
            if wanted is Scope.OPERATE:
                log_attempt(request, model=model, actor=None, outcome="refused", status=fault.status, message=fault.line)
            raise

    return caller


def security_of(scope: Scope | str) -> dict[str, Any]:
    """``openapi_extra`` of a route: what of ``SECURITY_SCHEMES`` it asks for; for some scopes this machine needs none."""
    tokens: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
    return {"security": [*([{}] if Scope(scope) in LOOPBACK_SCOPES else []), *tokens]}


def authorise(request: HTTPConnection, scope: Scope, model: str | None = None) -> Caller:
    """The caller of a request, if it may.

    Args:
        request: the request; ``app.state.tokens`` is asked about its token.
        scope: what it is about to do.
        model: the model it is about; None: about several, of which the caller looks only at those it may
            (:meth:`Caller.may_see`).

    Raises:
        Unauthorized: there is no token where one is needed, or none that is valid (401).
        Forbidden: the token does not allow it, or not for this model (403).
        TokensUnreadable: a token came, and what is known of tokens cannot be read (503).
    """
    tokens: TokenFile = request.app.state.tokens
    caller = _caller(request, tokens)
    where = f"{scope} {model or ''}".strip()
    if scope not in caller.scopes:
        if caller is LOOPBACK:
            raise _needs_token(scope)
        allowed = ", ".join(sorted(caller.scopes))
        raise Forbidden(f"token {caller.name} allows {allowed}, not {scope}", where=where, remedy=f"use one with scope {scope}")
    if model is not None and not caller.may_see(model):
        raise Forbidden(f"token {caller.name} is not for model {model}", where=where, remedy="use one that is")
    return caller


def authorise_metrics(request: HTTPConnection) -> None:
    """Let a scraper pass: everybody, or where metrics are kept from strangers, as for anything else, a token of any scope.

    Raises:
        Unauthorized: as :func:`authorise`.
    """
    tokens: TokenFile = request.app.state.tokens
    if tokens.for_metrics:
        _caller(request, tokens)


def _caller(request: HTTPConnection, tokens: TokenFile) -> Caller:
    headers: RawHeaders = dict(request.scope["headers"])
    secret = _secret(headers)
    if secret is not None:
        token = _valid(tokens, secret)
        return Caller(token.name, token.scopes, token.actor, token.models)
    if tokens.required or not _is_program_on_this_machine(request.scope.get("client"), headers):
        raise _needs_token(None)
    return LOOPBACK


def _secret(headers: RawHeaders) -> str | None:
    """What the request shows as its token; None where it shows none."""
    given = headers.get(b"authorization")
    if given is None:
        key = headers.get(b"x-api-key")
        return None if key is None else key.decode("latin-1")
    scheme, _, secret = given.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise InvalidToken("the Authorization header is no bearer token", remedy="send Authorization: Bearer rtn_…")
    return secret.strip()


def _valid(tokens: TokenFile, secret: str) -> Token:
    try:
        token = tokens.find(secret)
    except RetrainError as fault:
        raise TokensUnreadable("no token can be checked now", remedy="the operator finds the fault at /readyz") from fault
    if token is None:
        raise InvalidToken("the token is not known, or was revoked", remedy="ask for one: retrain token add")
    if token.expired(tokens.clock.now()):
        raise InvalidToken(f"token {token.name} has expired", remedy="ask for a new one: retrain token add")
    return token


def _needs_token(scope: Scope | None) -> Unauthorized:
    return Unauthorized(
        "a token is needed" + (f" for {scope}" if scope else ""), remedy="send Authorization: Bearer rtn_… (retrain token add)"
    )


def _is_program_on_this_machine(peer: tuple[str, int] | None, headers: RawHeaders) -> bool:
    """Whether the peer is this machine and asks for itself: no proxy before it, no web page of another origin behind it."""
    if peer is None or not _is_loopback(peer[0]) or not _FORWARDED.isdisjoint(headers):
        return False
    return _OF_A_PAGE.isdisjoint(headers) or _is_own_page(headers)


def _is_own_page(headers: RawHeaders) -> bool:
    """Whether a browser asks for a page that this gateway served, under a name of this machine that no stranger can have."""
    host, origin, site = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin", b"sec-fetch-site"))
    try:
        name = urlsplit(f"//{host}").hostname or ""
        from_here = not origin or urlsplit(origin).netloc == host
    except ValueError:
        return False
    return from_here and site in ("", "none", "same-origin") and (name == "localhost" or _is_loopback(name))


@lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
