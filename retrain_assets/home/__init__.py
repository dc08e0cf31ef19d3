"""Where state lives (RETRAIN_HOME) and what time it is (system clock or a replay's data time)."""

from retrain_assets.home.clock import Clock, FixedClock, HomeClock, ReplayClock, SystemClock
from retrain_assets.home.home import Home

__all__ = ["Clock", "FixedClock", "Home", "HomeClock", "ReplayClock", "SystemClock"]
