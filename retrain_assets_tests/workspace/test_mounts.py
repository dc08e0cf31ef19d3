"""What a task finds at ``/Volumes`` and ``/dbfs``: the same files that the Files API and the DBFS API give."""

from __future__ import annotations

import base64
import io

from databricks.sdk.service.compute import Environment
from databricks.sdk.service.jobs import JobEnvironment, SparkPythonTask, SubmitTask

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.sample_jobs import STATE, ended

SCRIPT = """
import os, shutil, tempfile
from pathlib import Path

volume = Path("/Volumes/main/retrain/state")
assert (volume / "asked.txt").read_text() == "asked", "read"
(volume / "deep" / "er").mkdir(parents=True)
with open(volume / "deep" / "er" / "x.writing", "w") as file:
    file.write("answer")
os.replace(volume / "deep" / "er" / "x.writing", volume / "deep" / "er" / "x.txt")
shutil.copy(volume / "deep" / "er" / "x.txt", "/dbfs/copied.txt")
shutil.copytree(volume / "deep", volume / "copy")
assert sorted(os.listdir("/dbfs/Volumes/main/retrain/state")) == ["asked.txt", "copy", "deep", "script.py"], "listed"
assert [path.name for path in volume.glob("copy/**/*.txt")] == ["x.txt"], "globbed"
assert not os.path.exists("/Volumes/main/retrain/absent"), "absent"
shutil.rmtree(volume / "copy")
with tempfile.NamedTemporaryFile(dir="/Volumes/main/retrain/state/deep") as scratch:
    scratch.write(b"x")
"""


def test_python_sees_volumes_and_dbfs_as_folders(workspace: Workspace) -> None:
    client = workspace.client()
    client.files.upload(f"{STATE}/asked.txt", io.BytesIO(b"asked"))
    client.files.upload(f"{STATE}/script.py", io.BytesIO(SCRIPT.encode()))
    script = SubmitTask("script", environment_key="default", spark_python_task=SparkPythonTask(f"{STATE}/script.py"))
    environments = [JobEnvironment("default", Environment(environment_version="4"))]
    run_id = client.jobs.submit(tasks=[script], environments=environments).bind()["run_id"]
    ended(workspace, run_id)
    output = client.jobs.get_run_output(run_id)
    assert (output.error, output.logs) == (None, "")
    contents = client.files.download(f"{STATE}/deep/er/x.txt").contents
    assert contents is not None
    assert contents.read() == b"answer"
    assert base64.b64decode(client.dbfs.read("/copied.txt").data or "") == b"answer"
