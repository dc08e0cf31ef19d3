"""Flights from JFK: how many minutes they will be in the air."""
