"""GrowthBook's Python SDK: CPU seconds for one evaluation of a local feature, one instance for all requests, without tracking."""

import json
import statistics
import sys
import time
from pathlib import Path

from growthbook import GrowthBook

rule = json.loads(Path(sys.argv[1]).read_text())
feature = {
    "defaultValue": "champion",
    "rules": [
        {
            "condition": {"origin": {"$in": rule["origins"]}, "distance": {"$gte": rule["at_least"]}},
            "force": "challenger",
            "coverage": rule["share"],
            "seed": rule["salt"],
            "hashAttribute": "id",
            "hashVersion": 2,
        }
    ],
}
client = GrowthBook(features={"flag": feature})


def evaluate(unit):
    client.set_attributes({"id": unit, "origin": rule["origin"], "distance": rule["distance"]})
    return client.get_feature_value("flag", "champion")


turns = []
for _ in range(rule["turns"] + 1):
    started = time.process_time()
    arms = [evaluate(unit) for unit in rule["units"]]
    turns.append((time.process_time() - started) / len(arms))
print(json.dumps({"seconds": statistics.median(turns[1:]), "challenged": arms.count("challenger") / len(arms)}))
