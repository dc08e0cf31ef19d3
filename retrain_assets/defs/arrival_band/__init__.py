"""Flights from LaGuardia: the band they will arrive in."""
