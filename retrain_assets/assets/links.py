"""Where a page in Dagster leads: to evidence packs, where something serves them, to MLflow's pages, and to other assets.

A browser does not follow a ``file://`` link from a web page, so what nothing serves is shown as a path to copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from retrain_assets.assets.board_lines import BoardLine
from retrain_assets.home import Home


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


def board_links(lines: Sequence[BoardLine], home: Home) -> str:
    """A Markdown table: of every model its pages in Dagster, and the evidence pack of its last retrain."""
    rows = "\n".join(_row(line, home) for line in lines)
    how = "" if home.packs_url else "\n\nEvidence packs are linked where `RETRAIN_PACKS_URL` says what serves them."
    return f"| model | pages | last retrain | runbook |\n| --- | --- | --- | --- |\n{rows}{how}"


def _row(line: BoardLine, home: Home) -> str:
    pages = " · ".join(f"[{asset}](/assets/{line.model}/{asset})" for asset in ("retrains", "toggle_debt", "drift_report"))
    return f"| {line.model} | {pages} | {' · '.join(_last(line, home)) or '—'} | `retrain runbook {line.model}` |"


def _last(line: BoardLine, home: Home) -> Iterator[str]:
    if line.retrain is None:
        return
    yield f"[{line.retrain}](/assets/{line.model}/audit_record?view=partitions&partition={line.retrain})"
    if (served := pack_url(home, line.model, line.retrain)) is not None:
        yield f"[evidence pack]({served})"


def _mlflow(home: Home) -> str | None:
    """Address of MLflow's pages; None of a store without a server, and of a workspace, which has pages of its own."""
    uri = home.mlflow_uri
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None
