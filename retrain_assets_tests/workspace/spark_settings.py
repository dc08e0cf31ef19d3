"""The Spark settings of a task's node: what Databricks sets for every session, and the cluster's own ``spark_conf``.

No session is started here: the task's process starts it, and finds the settings through SPARK_CONF_DIR.
"""

from __future__ import annotations

from pathlib import Path

from .machines import Cluster

USAGE = "spark.databricks.clusterUsageTags"


def write_spark_settings(scratch: Path, cluster: Cluster | None) -> Path:
    """Write ``spark-defaults.conf`` for a cluster (None: serverless compute); gives its folder."""
    folder = scratch / "conf"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "spark.master": "local[2]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "Etc/UTC",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        **({} if cluster is None else _of_cluster(cluster)),
    }
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return folder


def _of_cluster(cluster: Cluster) -> dict[str, str]:
    logs = cluster.spec.cluster_log_conf
    place = None if logs is None else logs.dbfs or logs.volumes
    return {
        f"{USAGE}.clusterId": cluster.cluster_id,
        f"{USAGE}.sparkVersion": cluster.spec.spark_version or "",
        f"{USAGE}.clusterLogDeliveryEnabled": "true" if place is not None else "false",
        f"{USAGE}.clusterLogDestination": (place.destination if place is not None else None) or "none",
        **(cluster.spec.spark_conf or {}),
    }
