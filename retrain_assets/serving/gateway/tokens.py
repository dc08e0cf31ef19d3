"""The tokens a gateway knows: ``tokens.json``, read again when it changes. Who may do what with them is settled in ``access``."""

from __future__ import annotations

import hmac
import json
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retrain_assets.contract import RetrainError, first_line
from retrain_assets.home import Clock, Home
from retrain_assets.release.access import Token, sha256_of, tokens_path

if TYPE_CHECKING:
    from os import stat_result

_LOG = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int, int]


class TokenFile:
    """Tokens by their secret, as the file has them at that moment.

    Args:
        home: whose file.
        required: whether a request from this machine needs a token too, as behind a proxy, whose address all requests have.
        for_metrics: whether ``/metrics`` needs one, of any scope.
    """

    def __init__(self, home: Home, *, required: bool = False, for_metrics: bool = False) -> None:
        self.path: Path = tokens_path(home)
        self.clock: Clock = home.clock
        self.required = required
        self.for_metrics = for_metrics
        self._seen: Stamp | None = None
        self._tokens: tuple[Token, ...] = ()
        self._fault = ""

    @classmethod
    def open(cls, home: Home, *, required: bool = False, for_metrics: bool = False) -> Self:
        """The tokens of a home, its file brought up to the ledger first where there is one that answers."""
        from sqlalchemy.exc import SQLAlchemyError

        from retrain_assets.ledger import Ledger
        from retrain_assets.release.access import Access

        url = home.ledger_url
        if not url.startswith("sqlite:") or Path(url.removeprefix("sqlite:///").partition("?")[0]).exists():
            try:
                Access(home, Ledger(url), home.clock).project()
            except (RetrainError, SQLAlchemyError, OSError) as fault:
                _LOG.warning("tokens.json may be behind the ledger: %s", first_line(fault))
        return cls(home, required=required, for_metrics=for_metrics)

    def find(self, secret: str) -> Token | None:
        """The token with this secret, also when it has expired; None when there is none.

        Raises:
            RetrainError: when the file cannot be relied on; then nothing is known about any token.
        """
        self._refresh()
        if self._fault:
            raise RetrainError(self._fault, where=str(self.path), remedy="run: retrain token list")
        wanted, found = sha256_of(secret), None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, wanted):
                found = token
        return found

    def problem(self) -> str | None:
        """Why no token is accepted now, in one line; None when all is well."""
        self._refresh()
        return f"{self.path.name}: {self._fault}" if self._fault else None

    def _refresh(self) -> None:
        try:
            stamp = _stamp(self.path.stat())
        except FileNotFoundError:
            self._seen, self._tokens, self._fault = None, (), ""
            return
        except OSError as error:
            self._seen, self._tokens, self._fault = None, (), f"it cannot be read ({error.strerror})"
            return
        if stamp != self._seen:
            self._tokens, self._fault, self._seen = *self._read(), stamp

    def _read(self) -> tuple[tuple[Token, ...], str]:
        """What the file holds, or why that does not count. A file that others may write could let anybody in."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    return (), "others than its owner may write it"
                return tuple(Token.from_json(one) for one in json.load(file)["tokens"]), ""
        except OSError as error:
            return (), f"it cannot be read ({error.strerror})"
        except (KeyError, TypeError, ValueError, RetrainError) as error:
            return (), f"it is not what retrain writes ({first_line(error)})"


def _stamp(found: stat_result) -> Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode
