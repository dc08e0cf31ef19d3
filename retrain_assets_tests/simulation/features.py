"""Feature functions of the simulated accounts: an honest one and the ways to get it wrong."""

import narwhals as nw


def build(rows: nw.DataFrame) -> nw.DataFrame:
    """Honest features."""
    return rows.select("account", "silence", "tenure", north=(nw.col("region") == "north").cast(nw.Float64))


def build_with_leak(rows: nw.DataFrame) -> nw.DataFrame:
    """Uses what is known only after the account left."""
    return rows.select("account", "silence", "exit_interview")


def build_dropping_rows(rows: nw.DataFrame) -> nw.DataFrame:
    """Returns other rows than it got."""
    return build(rows).filter(nw.col("silence") > 0)
