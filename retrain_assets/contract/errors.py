"""The one error type people meet: what is wrong, where, and what to write instead."""

from __future__ import annotations


class RetrainError(Exception):
    """A refusal or a fault that a person can act on.

    Args:
        what: what is wrong, in one clause.
        where: the file, field, table or record it is about; empty where the sentence already says it.
        remedy: what to do or write instead; empty only when nothing can be done.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The error as one line: ``where: what; remedy``."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{head}; {self.remedy}" if self.remedy else head
        return " ".join(line.split())


class ContractError(RetrainError):
    """The release contract is wrong."""


class SourceError(RetrainError):
    """The source data cannot be read as the contract says."""


class StageError(RetrainError):
    """A stage (snapshot, features, training, evaluation, aggregation) could not produce its result."""


class RegistryUnavailable(RetrainError):
    """The model registry does not answer; what it would have said is not known."""


class Refused(RetrainError):
    """The release controller refused an action; nothing was changed."""


class StaleRevision(Refused):
    """Somebody else changed the toggle first: the compare-and-set on its revision did not hold."""


class CustodyError(RetrainError):
    """The ledger, or something whose digest it holds, is not what was recorded."""


class SignatureError(Refused):
    """A signature does not prove what it should: forged, of another key, for something else, or not valid then."""


def first_line(error: BaseException) -> str:
    """An error in one line: the first of its message, or its type where it has none."""
    text = error.line if isinstance(error, RetrainError) else str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
