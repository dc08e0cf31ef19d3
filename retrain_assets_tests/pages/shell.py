"""A reader who types the blocks of a page: here-documents become files, ``retrain`` and ``python FILE`` run in process."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets_tests.pages import CHECKOUT

PROGRAMS = Path(sys.executable).parent
ALONE = re.compile(r"(?P<set>(?:[A-Z_]+=\S+ )*)(?P<command>retrain [^|;&]*?)(?: > (?P<file>\S+))?")
"""A ``retrain`` with nothing piped into it or out of it, its output in a file or not."""


@dataclass(frozen=True)
class Typed:
    """A command of a block with its here-document and, where the block has prompts, what is printed below it."""

    line: str
    document: str | None = None
    output: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the page shows that it is told no."""
        return any(line.startswith("retrain: ") for line in self.output)


def commands(block: str) -> list[Typed]:
    """What a block tells to type: all its lines, or those behind a ``$`` where there is one."""
    lines = iter(block.replace("\\\n", " ").splitlines())
    if "$ " in {line[:2] for line in block.splitlines()}:
        return list(_prompted(lines))
    return list(_plain(lines))


def _plain(lines: Iterator[str]) -> Iterator[Typed]:
    for line in lines:
        if "<<'EOF'" in line:
            yield Typed(line, "".join(f"{inner}\n" for inner in iter(lambda: next(lines), "EOF")))
        elif line.strip() and not line.startswith("#"):
            yield Typed(_whole(line, lines))


def _prompted(lines: Iterator[str]) -> Iterator[Typed]:
    line, output = "", list[str]()
    for one in lines:
        if one.startswith("$ "):
            if line:
                yield Typed(line, output=tuple(output))
            line, output = _whole(one[2:], lines), []
        elif one.strip():
            output.append(one)
    yield Typed(line, output=tuple(output))


def _whole(line: str, lines: Iterator[str]) -> str:
    """A line and those that it needs to be whole: loops, and quotes that are still open."""
    while _open(line):
        line += "\n" + next(lines)
    return line


def _open(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return True
    return False


@dataclass
class Shell:
    """A reader who types what stands in the blocks.

    Args:
        folder: where; also the working directory.
        names: what a word of the page is called here; a function says it when it is needed.
        skipped: beginnings of commands that are not typed.
        environment: what the blocks exported.
        said: each command with what it answered.
    """

    folder: Path
    names: dict[str, str | Callable[[Shell], str]] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)

    def type(self, block: str, compare: bool = False) -> None:
        """Run a block, command by command; one that ends otherwise than the page shows ends it.

        Args:
            block: the block.
            compare: whether the lines below a prompt must be among what is answered, but for numbers, dates and digests.
        """
        for typed in commands(block):
            if not typed.line.startswith(self.skipped or "\0"):
                answer = self._run(self.here(typed.line), typed)
                missing = [self.here(line) for line in typed.output] if compare else []
                missing = [line for line in missing if not _shown(line, answer)]
                assert not missing, f"{typed.line}\n" + "\n".join(missing) + f"\n--- is not in\n{answer}"

    def answer(self, beginning: str) -> str:
        """What the last command of that beginning answered."""
        return next(text for command, text in reversed(self.said) if command.startswith(beginning))

    def here(self, text: str) -> str:
        """A text of the page with the names of this home."""
        for word, name in self.names.items():
            if word in text:
                text = text.replace(word, name if isinstance(name, str) else name(self))
        return text

    def _run(self, line: str, typed: Typed) -> str:
        if typed.document is not None:
            path = self.folder / line.split(">", 1)[1].split("<<", 1)[0].strip()
            path.write_text(typed.document, encoding="utf-8")
            return ""
        if line.startswith("export "):
            self._export(self._words(line)[1:])
            return ""
        if line.startswith("umask "):
            os.umask(int(line.split()[1], 8))
            return ""
        plain = re.sub(r'^eval "\$\((.*?)\)"', r"\1", re.sub(r"\s+# .*$", "", line))
        if alone := ALONE.fullmatch(plain):
            return self._retrain(alone, typed)
        words = self._words(line) if line.startswith(("python ", "make ")) else [""]
        if words[0] == "python" and words[1].endswith(".py"):
            with warnings.catch_warnings(), patch.dict(os.environ):  # MLflow leaves its tracking URI in the environment
                warnings.simplefilter("ignore")
                runpy.run_path(str(self.folder / words[1]), run_name="__main__")
            return ""
        if words[0] == "make":
            line = f"make -n -C {CHECKOUT} {shlex.join(words[1:])}"
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", line], cwd=self.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        self.said.append((line, done.stdout))
        return done.stdout

    def _export(self, words: list[str]) -> None:
        for word in words:
            name, _, value = word.partition("=")
            os.environ[name] = self.environment[name] = value if name != "RETRAIN_HOME" else str(self.folder / value)

    def _retrain(self, alone: re.Match[str], typed: Typed) -> str:
        result = CliRunner().invoke(
            app, self._words(alone["command"])[1:], env=dict(word.split("=", 1) for word in alone["set"].split())
        )
        as_shown = result.exit_code in (1, 2, 3, 4, 5) if typed.refused else result.exit_code == 0
        assert as_shown, f"{alone[0]}\nexit {result.exit_code}\n{result.output}\n{result.exception!r}"
        if alone["file"]:
            file = Path(self._words(alone["file"])[0])
            (self.folder / file).write_bytes(result.stdout_bytes)
        self.said.append((alone[0], result.output))
        return result.output

    def _words(self, command: str) -> list[str]:
        """The words of a command as the shell expands them."""
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command}"], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.split("\0")[:-1]


def _shown(line: str, answer: str) -> bool:
    """Whether a line of a page is one of an answer; an ellipsis stands for anything, a number for any number."""
    wanted = re.escape(_without_values(line)).replace("…", ".*")
    return any(re.fullmatch(wanted, _without_values(one)) for one in answer.splitlines())


def _without_values(line: str) -> str:
    line = re.sub(r"(?i)sha256:[\w+/]+…?|\b[0-9a-f]{64}|\b[0-9a-f]{12}…", "DIGEST", " ".join(line.split()))
    return re.sub(r"[−+-]?\d[\d,.:]*", "#", line)
