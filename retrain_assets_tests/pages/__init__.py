"""The code blocks of README.md and docs/, so that tests run what the pages say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, without the indentation of the list it stands in."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> list[Block]:
    """All blocks of a page (``README.md`` or the name of one in docs/), in their order."""
    path = CHECKOUT / page if page == "README.md" else CHECKOUT / "docs" / page
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```([^\n]*)\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(page, text.count("\n", 0, one.start()) + 1, one[2], dedent(one[3])) for one in found]


def blocks(page: str, language: str) -> list[str]:
    """The texts of a page's blocks in one language."""
    return [block.text for block in read(page) if block.language == language]
