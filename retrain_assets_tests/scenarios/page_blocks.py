"""The console blocks of a page, run in one folder: here-documents become files, ``retrain`` and ``python`` run in process."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner

from retrain_assets.cli.app import app

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@dataclass
class Shell:
    """A reader who types what stands in the blocks.

    Args:
        folder: where; also the working directory.
        environment: what the blocks exported.
        said: each command with what it answered.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)

    def type(self, block: str) -> None:
        """Run a block, line by line; a command that fails ends it."""
        for command, document in _commands(block):
            self._run(command, document)

    def answer(self, beginning: str) -> str:
        """What the last command of that beginning answered."""
        return next(text for command, text in reversed(self.said) if command.startswith(beginning))

    def _run(self, command: str, document: str | None) -> None:
        if document is not None:
            path = self.folder / command.split(">", 1)[1].split("<<", 1)[0].strip()
            path.write_text(document, encoding="utf-8")
            return
        words = self._words(command)
        if words[0] == "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                os.environ[name] = self.environment[name] = value if name != "RETRAIN_HOME" else str(self.folder / value)
            return
        if words[0] == "retrain":
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
            self.said.append((command, result.output))
            return
        if words[0] == "python":
            with warnings.catch_warnings(), patch.dict(os.environ):  # MLflow leaves its tracking URI in the environment
                warnings.simplefilter("ignore")
                runpy.run_path(str(self.folder / words[1]), run_name="__main__")
            return
        subprocess.run(["bash", "-ec", command], cwd=self.folder, check=True)

    def _words(self, command: str) -> list[str]:
        """The words of a command as the shell expands them."""
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command}"], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.split("\0")[:-1]


def _commands(block: str) -> Iterator[tuple[str, str | None]]:
    lines = iter(block.replace("\\\n", " ").splitlines())
    for line in lines:
        if "<<'EOF'" in line:
            document = []
            for inner in lines:
                if inner == "EOF":
                    break
                document.append(inner)
            yield line, "\n".join(document) + "\n"
        elif line.strip() and not line.startswith("#"):
            yield line, None
