"""The stages: each a function of a request to a result, named as its module."""
