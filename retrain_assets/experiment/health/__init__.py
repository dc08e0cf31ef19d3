"""Is the experiment sound? Checks that come before any result."""
