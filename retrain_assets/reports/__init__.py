"""Evidence pack of a retrain, index of a model's retrains, runbook. Reads records; changes nothing that is routed or decided."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_assets.reports.index import index_of, write_index
    from retrain_assets.reports.pack import PackPaths, pack_of, write_pack
    from retrain_assets.reports.page import pack_page

__all__ = ["PackPaths", "index_of", "pack_of", "pack_page", "write_index", "write_pack"]

_FILES = {
    "index": ("index_of", "write_index"),
    "pack": ("PackPaths", "pack_of", "write_pack"),
    "page": ("pack_page",),
}


def __getattr__(name: str) -> Any:
    """Pages and plots are imported when they are asked for: most commands need words, a query or a single record."""
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
