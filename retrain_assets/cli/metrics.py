"""``retrain metrics``: what the ledger and the sensors tell, in Prometheus' text format."""

from __future__ import annotations

import click

from retrain_assets.home import Home


@click.command()
def metrics() -> None:
    """Print the metrics of the ledger and of the sensors, in the text format of Prometheus.

    For a cron job that feeds the textfile collector, or to look. The gateway's /metrics has them too.
    """
    from retrain_assets.cli.opening import controller_of, require_record
    from retrain_assets.observability.exposition import merged
    from retrain_assets.observability.sensor_metrics import sensor_metrics
    from retrain_assets.release.metrics_file import metrics_text

    home = Home.from_environment()
    require_record(home)
    click.echo(merged([metrics_text(controller_of(home)), sensor_metrics(home.metrics_dir)]), nl=False)
