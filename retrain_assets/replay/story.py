"""What people do in the flights replay, and when. Everything else happens by itself.

The dates are picked with hindsight, by looking at what happened in 2013; the demo says so. Nothing is planted in the data.
"""

from __future__ import annotations

from datetime import date

MODEL = "flight_delay"
SOURCE = "flights"

FIRST_DAY = date(2013, 4, 16)
"""A first champion is trained on January to March and goes live."""

LAST_DAY = date(2013, 12, 14)

SCIENTIST = "dana.data@flights.example"
RELEASE_OWNER = "ruth.release@flights.example"
PRODUCT_OWNER = "paul.product@flights.example"

LEAK_DAY = date(2013, 8, 20)
"""A data scientist launches a retrain whose features use ``dep_delay``."""
LEAK_FEATURES = "retrain_assets.defs.flight_delay.features_with_departure_delay.build"

ROLLBACK_DAY = date(2013, 11, 20)
"""The release owner rolls the last champion back by hand: cheap in a calm autumn, it hardly warns anybody before the holidays."""

RELAUNCH_DAY = date(2013, 11, 25)
"""A data scientist retrains on the autumn; judged on mild November, met by a stormy December."""

BOOTSTRAP_REASON = "First champion. There is nothing to compare it with; it meets the absolute limits."
APPROVAL_REASON = "Cost per flight is lower with every guardrail held over two full weeks; see the canary report."
ROLLBACK_REASON = "Warns 3 % of flights and misses nine late ones in ten; restore the July model before Thanksgiving."
LEAK_REASON = "Try departure delay as a feature; it looked very strong in the notebook."
RELAUNCH_REASON = "Fresh model on autumn data, the July champion warns too much."
