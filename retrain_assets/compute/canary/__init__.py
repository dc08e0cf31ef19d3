"""From exposures and outcomes to the sums of a canary: records read once, units put together, terms added up."""
