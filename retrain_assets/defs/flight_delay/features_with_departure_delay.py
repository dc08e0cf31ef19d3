"""The natural mistake, kept for the demo: a feature that is known only after departure.

``dep_delay`` predicts the arrival delay almost perfectly and is null when a prediction is due. The demo launches one
retrain with this file to show that the leakage checks stop it before it could touch traffic.
"""

from typing import Any

import narwhals as nw

from retrain_assets.defs.flight_delay.features import build as build_honest


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """The honest features and the leak."""
    return build_honest(rows).with_columns(rows.get_column("dep_delay"))
