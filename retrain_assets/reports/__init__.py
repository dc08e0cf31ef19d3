"""Evidence pack of a retrain, index of a model's retrains, runbook. Reads records; changes nothing that is routed or decided."""

from retrain_assets.reports.index import index_of, write_index
from retrain_assets.reports.pack import PackPaths, pack_of, write_pack
from retrain_assets.reports.page import pack_page
from retrain_assets.reports.runbook import runbook

__all__ = ["PackPaths", "index_of", "pack_of", "pack_page", "runbook", "write_index", "write_pack"]
