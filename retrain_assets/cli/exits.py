"""How a command ends: its exit code, and every fault as exactly one line on stderr."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import click

from retrain_assets.contract import CustodyError, Refused, RetrainError, StaleRevision, first_line


class ExitCode(IntEnum):
    """Exit codes of ``retrain``; documented in docs/cli.md."""

    OK = 0
    REFUSED = 1
    """Policy refused the action; nothing was changed."""
    USAGE = 2
    """The command line itself is wrong."""
    INPUT = 3
    """Bad input, missing data, or a part (registry, database) that does not answer."""
    CUSTODY = 4
    """The record, or something whose digest it holds, is not what was recorded."""
    LOST_RACE = 5
    """Somebody else changed it first; look again and repeat if it is still meant."""
    INTERRUPTED = 130
    READER_GONE = 141
    """The reader of our output closed the pipe, as for any other tool."""


WARY = ("pyspark", "pandera")
"""Packages that warn of each other's versions as soon as a schema is loaded; on stderr of a command that is a false fault."""

TALKATIVE = ("mlflow.store.db.utils", "urllib3.connectionpool")
"""Loggers that print the faults they also raise, with tracebacks; what they raise is told here, in one line."""


class ReaderGone(Exception):
    """Nobody reads our output any more."""


class OneLineErrors(click.Group):
    """The root command: faults people can act on become one line and an exit code, never a traceback.

    ``sections`` names its sub-commands under headings, in the order of use.
    """

    sections: Mapping[str, Sequence[click.Command]] = MappingProxyType({})

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and exit; ``standalone_mode=False`` raises and returns as click does."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        sys.exit(self._run(args, prog_name, complete_var, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; a closed pipe is told apart from other faults of the operating system."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error
        return answer

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The sub-commands in the order they were added, which is that of use."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each heading with its commands."""
        widest = max(len(name) for name in self.commands)
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                room = formatter.width - formatter.current_indent - widest - 4
                formatter.write_dl([(one.name or "", one.get_short_help_str(room)) for one in commands], col_max=widest)

    def _run(self, args: Sequence[str] | None, prog_name: str | None, complete_var: str | None, **extra: Any) -> int:
        try:
            with _warnings_as_notes():
                answer = super().main(args, prog_name, complete_var, False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return ExitCode.USAGE
        except click.UsageError as error:
            return tell(_usage(error), ExitCode.USAGE)
        except click.ClickException as error:
            return tell(error.format_message(), ExitCode.INPUT)
        except click.Abort:
            return tell("interrupted; retrain status shows what was recorded", ExitCode.INTERRUPTED)
        except ReaderGone:
            _forget_stdout()
            return ExitCode.READER_GONE
        except RetrainError as error:
            return tell(error.line, exit_code(error))
        except OSError as error:
            return tell(f"{error.filename or 'system'}: {error.strerror or error}", ExitCode.INPUT)
        except Exception as error:
            if (fault := _fault_of_a_store(error)) is None:
                raise
            return tell(*fault)
        return answer if isinstance(answer, int) else ExitCode.OK


def exit_code(error: RetrainError) -> ExitCode:
    """The exit code of a fault."""
    if isinstance(error, StaleRevision):
        return ExitCode.LOST_RACE
    if isinstance(error, Refused):
        return ExitCode.REFUSED
    return ExitCode.CUSTODY if isinstance(error, CustodyError) else ExitCode.INPUT


def tell(line: str, code: ExitCode = ExitCode.OK) -> ExitCode:
    """Write one line to stderr, whatever the text holds, and give the code back."""
    click.echo(f"retrain: {' '.join(line.split())}", err=True)
    return code


def is_registry_fault(error: Exception) -> bool:
    """Whether the registry could not do its part: it does not answer, or has no such version."""
    mlflow = sys.modules.get("mlflow.exceptions")
    if isinstance(error, RetrainError):
        return not isinstance(error, Refused)
    return mlflow is not None and isinstance(error, mlflow.MlflowException)


class _Notes(logging.Handler):
    """Warnings of the product's rooms as notes on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"note: {record.getMessage()}")


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    handler, log = _Notes(logging.WARNING), logging.getLogger("retrain_assets")
    others = [logging.getLogger(name) for name in TALKATIVE]
    log.addHandler(handler)
    for other in others:
        other.addFilter(_nothing)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=rf"({'|'.join(WARY)})\b")
            yield
    finally:
        log.removeHandler(handler)
        for other in others:
            other.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "retrain"
    where = path.removeprefix("retrain").strip()
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    if isinstance(error, click.MissingParameter) and error.param is not None and error.param.name == "reason":
        return f"{where}: a reason is missing; add --reason and say why in one sentence"
    return f"{where + ': ' if where else ''}{message}; see {path} --help"


def _fault_of_a_store(error: Exception) -> tuple[str, ExitCode] | None:
    """Faults of the ledger's database and of MLflow; both are only known once their library was needed."""
    database, mlflow = sys.modules.get("sqlalchemy.exc"), sys.modules.get("mlflow.exceptions")
    if database is not None and isinstance(error, database.OperationalError):
        return f"database: {error.orig}; check that it runs, is not locked and has room", ExitCode.INPUT
    if database is not None and isinstance(error, database.DatabaseError):
        return f"ledger: {error.orig}; restore the database from a backup, nothing is written to it", ExitCode.CUSTODY
    if mlflow is not None and isinstance(error, mlflow.MlflowException):
        return (
            f"registry: {first_line(error)}; check MLFLOW_TRACKING_URI, then run retrain reconcile",
            ExitCode.INPUT,
        )
    return None


def _forget_stdout() -> None:
    """Keep the interpreter from complaining about the closed pipe when it flushes at the end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None
