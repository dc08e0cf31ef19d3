"""One look: what all measures and the health checks together call for."""
