"""What becomes of every block that the console does not run: the test that runs it elsewhere, or why nobody can."""

from __future__ import annotations

RUN_BY: dict[tuple[str, str], str] = {
    ("adopt.md", "console"): "scenarios/test_adopt_tutorial.py",
    ("clients.md", "js"): "serving/client/test_recipes.py",
    ("clients.md", "java"): "serving/client/test_recipes.py",
    ("clients.md", "python"): "serving/client/test_recipes.py",
    ("data-formats.md", "js"): "routing/test_javascript.py",
    ("ledger.md", "sql"): "ledger/test_append_only.py",
    ("observability.md", "yaml"): "observability/test_documented.py",
    ("own-approvals.md", "console"): "cli/test_keys.py",
    ("own-approvals.md", "python"): "release/test_own_approvals.py",
    ("own-gates.md", "python"): "scenarios/test_own_gates_page.py",
    ("own-gates.md", "yaml"): "scenarios/test_own_gates_page.py",
    ("own-metrics.md", "python"): "compute/test_own_metrics_page.py",
    ("own-metrics.md", "yaml"): "compute/test_own_metrics_page.py",
    ("own-notifications.md", "console"): "automation/test_own_notifications.py",
    ("own-notifications.md", "python"): "automation/test_own_notifications.py",
    ("own-serving.md", "python"): "serving/client/test_own_serving_page.py",
    ("trainers.md", "python"): "scenarios/test_trainers_page.py",
    ("trainers.md", "yaml"): "scenarios/test_trainers_page.py",
    ("tutorial.md", "console"): "scenarios/test_tutorial.py",
}
"""The blocks of a page in a language, and the test that runs them."""

NOT_TYPED: dict[tuple[str, str], str] = {
    ("README.md", "retrain serve"): "serves until it is ended: scenarios/test_gateway.py",
    ("README.md", "curl "): "asks for a gateway with the demo's models: serving/client and serving/gateway",
    ("README.md", "retrain audit reproduce"): "needs a road with its data: cli/reproduction/test_equal.py",
    ("README.md", "dg "): "typed for another model in scenarios/test_tutorial.py",
    ("README.md", "retrain launch"): "typed for another model in scenarios/test_tutorial.py",
    ("audit.md", "retrain audit reproduce"): "needs a road with its data: cli/reproduction/test_equal.py",
    ("benchmarks.md", ".venv/bin/python -m benchmarks"): "takes minutes: scenarios/test_benchmarks.py runs it on little data",
    ("clients.md", "retrain export databricks"): "needs a workspace: cli/test_export.py",
    ("databricks.md", "databricks "): "needs a workspace",
    ("databricks.md", "base64 "): "needs a workspace",
    ("databricks.md", "cd databricks "): "needs a workspace",
    ("demo.md", "retrain serve"): "serves until it is ended: scenarios/test_gateway.py",
    ("environments.md", "retrain contract proof"): "needs two environments: cli/test_contract_promotion.py",
    ("environments.md", "retrain contract promote"): "needs two environments: cli/test_contract_promotion.py",
    ("ledger.md", "python -c"): "needs PostgreSQL: ledger/test_moving.py",
    ("own-serving.md", "retrain serve"): "serves until it is ended: scenarios/test_gateway.py",
    ("own-serving.md", "retrain route"): "typed in serving/client/test_own_serving_page.py",
    ("own-serving.md", "retrain export databricks"): "needs a workspace: cli/test_export.py",
    ("rehearsal.md", "retrain rehearse"): "needs a file of history: replay/test_rehearsal.py",
    ("rehearsal.md", "RETRAIN_HOME=.retrain-air-time"): "takes minutes: replay/test_rehearsal.py",
    ("serving.md", "retrain serve"): "serves until it is ended: scenarios/test_gateway.py",
    ("serving.md", "curl "): "asks for a gateway with the demo's models: serving/client and serving/gateway",
    ("ui.md", "python -m http.server"): "serves until it is ended",
    ("upgrades.md", "PYTHONPATH=CHECKOUT"): "needs a checkout of the earlier release: ledger/test_released.py",
}
"""The beginning of commands of a page that are not typed into a home, and why; the command line takes them all."""

OUTPUT = ("text", "diff", "ini", "{toctree}")
"""What is printed, drawn or configured for others, and not run."""

PARSED = ("yaml", "json")
"""Read by test_data_blocks.py."""

TYPED = ("console", "python")
"""Run by test_typed_blocks.py."""

NEEDS_A_WORKSPACE = ("databricks.md", "sql")
