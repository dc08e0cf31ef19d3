"""The code location: everything the folders below ``defs/`` give, merged."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """All models of this project."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
