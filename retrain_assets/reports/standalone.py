"""A plot as a Markdown image that stands alone, for the Dagster UI and other places without the page's style."""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib.resources import files

from markupsafe import Markup


def markdown_image(title: str, plot: Markup, facts: str = "") -> str:
    """A bold title, facts beside it, and below them the plot with its light colours and rules inside."""
    svg = re.sub(r"<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', str(plot), count=1)
    width, height = _size(svg)
    svg = re.sub(
        r"(<svg [^>]*>)", rf'\1<style>{_style()}</style><rect width="{width}" height="{height}" fill="#fff"/>', svg, count=1
    )
    svg = svg.replace("<svg ", f'<svg width="{width}" height="{height}" ', 1)
    head = f"**{title}** {facts}".rstrip()
    return f"{head}\n\n![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _size(svg: str) -> tuple[str, str]:
    _, _, width, height = re.search(r'viewBox="([^"]*)"', svg).group(1).split()  # type: ignore[union-attr]
    return width, height


@cache
def _style() -> str:
    """The light colours and the rules of plots, out of the page's style sheet."""
    sheet = files("retrain_assets.reports").joinpath("templates/style.css").read_text()
    colours = re.search(r":root \{.*?\}", sheet, flags=re.DOTALL)
    rules = re.findall(r"^\.plot[^{}]*\{[^}]*\}|(?<=\} )\.plot[^{}]*\{[^}]*\}", sheet, flags=re.MULTILINE)
    return " ".join([colours.group(0).replace("color-scheme: light dark;", "") if colours else "", *rules]).replace("\n", " ")
