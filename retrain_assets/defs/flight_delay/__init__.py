"""Flights from New York: warn passengers when a flight will land more than 15 minutes late."""
