"""Where state lives (RETRAIN_HOME) and what time it is (system clock or a replay's data time)."""

from retrain_assets.home.clock import Clock, FixedClock, ReplayClock, SystemClock, clock_of
from retrain_assets.home.home import Home

__all__ = ["Clock", "FixedClock", "Home", "ReplayClock", "SystemClock", "clock_of"]
