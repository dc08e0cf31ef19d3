"""A retrain's record for somebody outside: an archive that is verified without this product."""

from retrain_assets.reports.export.contents import Export, export_of, script

__all__ = ["Export", "export_of", "script"]
