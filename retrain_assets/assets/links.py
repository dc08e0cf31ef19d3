"""Where a page in Dagster leads: to evidence packs, where something serves them, to MLflow's pages, and to other assets.

A browser does not follow a ``file://`` link from a web page, so what nothing serves is shown as a path to copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from retrain_assets.assets.board_lines import BoardLine
from retrain_assets.home import Home

PAGES = ("retrains", "toggle_debt", "drift_report")
"""The pages of a model that the board leads to."""


def pack_metadata(home: Home, model: str, retrain: str) -> dict[str, Any]:
    """The evidence pack of a retrain, as a link where RETRAIN_PACKS_URL says what serves it; page and JSON as paths."""
    page = home.reports_dir(model) / f"{retrain}.html"
    served = pack_url(home, model, retrain)
    return {
        **({"evidence pack": dg.MetadataValue.url(served)} if served else {}),
        "evidence_pack": dg.MetadataValue.path(str(page)),
        "evidence_json": dg.MetadataValue.path(str(page.with_suffix(".json"))),
    }


def pack_url(home: Home, model: str, retrain: str) -> str | None:
    """Address of a pack's page; None where nothing serves it."""
    return f"{home.packs_url}/{model}/{retrain}.html" if home.packs_url else None


def version_metadata(home: Home, name: str, version: str) -> dict[str, Any]:
    """A registered version, as a link to MLflow's page where a server has it.

    Args:
        home: its tracking URI.
        name: the registered model.
        version: the version.
    """
    uri = f"models:/{name}/{version}"
    served = _mlflow(home)
    page = {"MLflow version": dg.MetadataValue.url(f"{served}/#/models/{name}/versions/{version}")} if served else {}
    return {"registry_version": uri, **page}


def page_of_retrain(model: str, retrain: str, asset: str) -> str:
    """The page of one retrain on one asset, within Dagster."""
    return f"/assets/{model}/{asset}?view=partitions&partition={retrain}"


def board_links(lines: Sequence[BoardLine], home: Home) -> str:
    """As Markdown, a line a model: its pages in Dagster, the evidence pack of its last retrain, and its runbook."""
    return "\n".join(_row(line, home) for line in lines)


def _row(line: BoardLine, home: Home) -> str:
    pages = " · ".join(f"[{asset.replace('_', ' ')}](/assets/{line.model}/{asset})" for asset in PAGES)
    return " · ".join([f"- **{line.model}**: {pages}", *_last(line, home), f"`retrain runbook {line.model}`"])


def _last(line: BoardLine, home: Home) -> Iterator[str]:
    if line.retrain is None:
        return
    yield f"[{line.retrain}]({page_of_retrain(line.model, line.retrain, 'audit_record')})"
    if (served := pack_url(home, line.model, line.retrain)) is not None:
        yield f"[evidence pack]({served})"


def _mlflow(home: Home) -> str | None:
    """Address of MLflow's pages; None of a store without a server, and of a workspace, which has pages of its own."""
    uri = home.mlflow_uri
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None
