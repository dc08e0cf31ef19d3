"""The versions of one model in Unity Catalog, read so that a listing that lags behind hides none of them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

READY = "READY"
"""Status of a version whose files are all there."""

PAGE = 100
AT_ONCE = 8
BEYOND = 3
"""Numbers after the last listed one that are asked for one by one: a listing may lag, an answer by number does not."""

MISSING = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
EXISTS = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one model.

    Args:
        client: an ``MlflowClient`` of the catalog.
        name: three-level name of the model.
    """

    client: Any
    name: str

    def all(self, *, beyond: bool = False) -> list[Any]:
        """Every version with its tags and aliases, whatever its status, oldest first. Search results have neither of both.

        Args:
            beyond: look for versions that the listing does not show yet, too.
        """
        numbers = self.listed()
        found = self._by_number(numbers)
        while beyond:
            last = max((int(one.version) for one in found), default=max(numbers, default=0))
            more = self._by_number(range(last + 1, last + 1 + BEYOND))
            found += more
            beyond = bool(more)
        return found

    def listed(self) -> list[int]:
        """The numbers that the catalog lists."""
        from mlflow.exceptions import MlflowException

        numbers: list[int] = []
        token = None
        try:
            while token or not numbers:
                page = self.client.search_model_versions(f"name='{self.name}'", max_results=PAGE, page_token=token)
                numbers += [int(one.version) for one in page]
                if not (token := page.token):
                    break
        except MlflowException as error:
            if error.error_code not in MISSING:
                raise
        return sorted(numbers)

    def one(self, version: str) -> Any | None:
        """One version with its tags and aliases; None when there is none."""
        from mlflow.exceptions import MlflowException

        if not version.isdecimal():
            return None
        try:
            return self.client.get_model_version(self.name, version)
        except MlflowException as error:
            if error.error_code in MISSING:
                return None
            raise

    def aliases(self) -> dict[str, str]:
        """Version by alias; empty when the model is not registered."""
        from mlflow.exceptions import MlflowException

        try:
            return {alias: str(version) for alias, version in self.client.get_registered_model(self.name).aliases.items()}
        except MlflowException as error:
            if error.error_code in MISSING:
                return {}
            raise

    def ensure_model(self) -> None:
        """Have the model registered."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code not in EXISTS:
                raise

    def delete(self, version: Any) -> None:
        """Take a version away; one that is gone already stays so."""
        self._unless_missing(self.client.delete_model_version, str(version.version))

    def delete_alias(self, alias: str) -> None:
        """Take an alias away; one that is gone already stays so."""
        self._unless_missing(self.client.delete_registered_model_alias, alias)

    def _unless_missing(self, deletion: Any, what: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            deletion(self.name, what)
        except MlflowException as error:
            if error.error_code not in MISSING:
                raise

    def _by_number(self, numbers: Iterable[int]) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(self.one, [str(number) for number in numbers])
            return [one for one in found if one is not None]
