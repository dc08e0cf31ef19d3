"""A small seeded simulation for whole-road tests: accounts that may churn. It is made up and says so."""

from retrain_assets_tests.simulation.accounts import CONTRACT, accounts, contract_with

__all__ = ["CONTRACT", "accounts", "contract_with"]
