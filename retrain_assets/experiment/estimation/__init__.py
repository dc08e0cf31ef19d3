"""From sums over units to the state of one measure: estimates, covariates, limits of every kind. No decision."""
