"""Unleash's Python SDK (its Rust engine): CPU seconds for one evaluation of a bootstrapped flag, without metrics and network."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

rule = json.loads(Path(sys.argv[1]).read_text())
strategy = {
    "name": "flexibleRollout",
    "parameters": {"rollout": str(round(rule["share"] * 100)), "stickiness": "userId", "groupId": rule["salt"]},
    "constraints": [
        {"contextName": "origin", "operator": "IN", "values": rule["origins"]},
        {"contextName": "distance", "operator": "NUM_GTE", "value": str(rule["at_least"])},
    ],
}
with tempfile.TemporaryDirectory() as folder:
    cache = FileCache("benchmark", directory=folder)
    cache.bootstrap_from_dict({"version": 2, "features": [{"name": "flag", "enabled": True, "strategies": [strategy]}]})
    client = UnleashClient(
        "http://127.0.0.1:9/api", "benchmark", cache=cache, disable_metrics=True, disable_registration=True, refresh_interval=3600
    )
    client.initialize_client(fetch_toggles=False)

    def evaluate(unit):
        return client.is_enabled(
            "flag", {"userId": unit, "properties": {"origin": rule["origin"], "distance": str(rule["distance"])}}
        )

    turns = []
    for _ in range(rule["turns"] + 1):
        started = time.process_time()
        arms = [evaluate(unit) for unit in rule["units"]]
        turns.append((time.process_time() - started) / len(arms))
    client.destroy()
print(json.dumps({"seconds": statistics.median(turns[1:]), "challenged": arms.count(True) / len(arms)}))
