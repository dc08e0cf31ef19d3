"""``retrain serve``: the gateway, in the foreground."""

from __future__ import annotations

import re

import click

from retrain_assets.home import Home

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes, with ``k``, ``m`` or ``g`` for multiples of 1024."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([1-9]\d*)([kmg]?)(i?b)?", str(value).lower())
        if found is None:
            self.fail(f"{value!r} is no size; write 500k, 1m or 2m", param, ctx)
        return int(found[1]) * UNITS[found[2]]


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time with its unit, as in the contract."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from retrain_assets.contract import parse_duration

        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value)).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value} is no time to wait; write 30s or 5m", param, ctx)
        return seconds


PORT, WORKERS, DRAIN = click.IntRange(0, 65535), click.IntRange(1, 128), click.IntRange(0, 3600)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen on; not loopback: needs tokens.")
@click.option("--port", type=PORT, default=8080, show_default=True, metavar="N", help="Port to listen on; 0 takes a free one.")
@click.option("--workers", type=WORKERS, default=2, show_default=True, metavar="N", help="Worker processes.")
@click.option("--max-body", type=Size(), default="1m", show_default=True, help="Largest body of a request.")
@click.option("--rotate-after", type=Duration(), default="5m", show_default=True, help="How often traffic files are completed.")
@click.option(
    "--drain", type=DRAIN, default=10, show_default=True, metavar="SECONDS", help="Time of requests under way at the end."
)
@click.option("--require-tokens", is_flag=True, help="Programs on this machine need a token too, as behind a proxy.")
@click.option("--require-tokens-for-metrics", is_flag=True, help="/metrics needs a token, of any scope.")
def serve(
    host: str,
    port: int,
    workers: int,
    max_body: int,
    rotate_after: float,
    drain: int,
    require_tokens: bool,
    require_tokens_for_metrics: bool,
) -> None:
    """The gateway: predictions, outcomes, toggles over HTTP.

    Prints one line with the address as soon as every worker answers, and serves until SIGTERM. Then requests under way are
    answered, and every exposure is brought into its file.
    """
    home = Home.from_environment()
    if not home.flags_path.exists():
        from retrain_assets.cli.opening import open_controller

        open_controller(home)
    from retrain_assets.serving.gateway import Options, run_gateway

    options = Options(
        max_body_bytes=max_body,
        rotate_after_seconds=rotate_after,
        drain_seconds=drain,
        require_tokens=require_tokens,
        require_tokens_for_metrics=require_tokens_for_metrics,
    )
    run_gateway(home, host=host, port=port, workers=workers, options=options, announce=click.echo)
