"""Databricks as the place of the heavy stages: code and data there, runs of a job, answers back."""
