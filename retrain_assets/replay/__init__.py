"""Replay of historical traffic on data time through the real definitions. The flights of 2013 are the shipped example."""
