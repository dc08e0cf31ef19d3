"""The fields of the chain of custody, a file for each of its parts. ``reports.custody`` puts them together."""
