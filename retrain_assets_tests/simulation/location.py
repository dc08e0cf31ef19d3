"""The simulated model as a Dagster code location, for tests that need a webserver."""

import dagster as dg

from retrain_assets.components.retrain import definitions_of
from retrain_assets_tests.simulation.accounts import contract_with

defs: dg.Definitions = definitions_of(contract_with())
