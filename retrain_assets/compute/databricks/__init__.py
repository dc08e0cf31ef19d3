"""Databricks as the place of the heavy stages: code and data there, runs of a job, answers back."""

from retrain_assets.compute.databricks.compute import DatabricksCompute
from retrain_assets.compute.databricks.job_settings import job_settings

__all__ = ["DatabricksCompute", "job_settings"]
