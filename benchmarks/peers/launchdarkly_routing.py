"""LaunchDarkly's server SDK: CPU seconds for one evaluation of a flag from a file, without events and without network."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ldclient import Config, Context, LDClient
from ldclient.integrations import Files

rule = json.loads(Path(sys.argv[1]).read_text())


def clause(attribute, operator, values):
    return {"contextKind": "user", "attribute": attribute, "op": operator, "values": values, "negate": False}


share = int(rule["share"] * 100_000)
flag = {
    "key": "flag",
    "version": 1,
    "on": True,
    "salt": rule["salt"],
    "variations": ["challenger", "champion"],
    "fallthrough": {"variation": 1},
    "offVariation": 1,
    "rules": [
        {
            "id": "cohort",
            "clauses": [clause("origin", "in", rule["origins"]), clause("distance", "greaterThanOrEqual", [rule["at_least"]])],
            "rollout": {
                "contextKind": "user",
                "variations": [{"variation": 0, "weight": share}, {"variation": 1, "weight": 100_000 - share}],
            },
        }
    ],
}
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "flags.json")
    path.write_text(json.dumps({"flags": {"flag": flag}}))
    source = Files.new_data_source(paths=[str(path)])
    client = LDClient(Config("none", update_processor_class=source, send_events=False, diagnostic_opt_out=True), start_wait=10)
    assert client.is_initialized()

    def evaluate(unit):
        context = Context.builder(unit).set("origin", rule["origin"]).set("distance", rule["distance"]).build()
        return client.variation("flag", context, "champion")

    turns = []
    for _ in range(rule["turns"] + 1):
        started = time.process_time()
        arms = [evaluate(unit) for unit in rule["units"]]
        turns.append((time.process_time() - started) / len(arms))
    client.close()
print(json.dumps({"seconds": statistics.median(turns[1:]), "challenged": arms.count("challenger") / len(arms)}))
