"""What requests and contracts may hold, for tests that draw them at random."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

NAMES = ("origin", "distance", "tier", "segments")

texts = st.sampled_from(["JFK", "LGA", "EWR", "", "5", "0", "nan", "true", "é"])
numbers = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, 5]))
values = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    texts,
    st.lists(st.one_of(texts, numbers, st.none(), st.booleans(), st.lists(texts, max_size=1)), max_size=3),
)
allowed = st.lists(
    st.one_of(st.sampled_from(["JFK", "LGA", "5", "é"]), st.sampled_from([0.0, 1.0, 5.0, -2.5]), st.booleans()), max_size=4
)
single = st.fixed_dictionaries(
    {},
    optional={"in": allowed, "not_in": allowed, "at_least": st.sampled_from([0, 2.5, 5]), "below": st.sampled_from([1, 5.5])},
).filter(bool)
conditions = st.one_of(single, st.fixed_dictionaries({"any_of": st.lists(texts, max_size=3)}))
cohorts = st.dictionaries(st.sampled_from(NAMES), conditions, max_size=3)
attributes = st.dictionaries(st.sampled_from([*NAMES, "other"]), values)
shares = st.one_of(
    st.sampled_from([0.0, 0.0001, 0.001, 0.05, 0.25, 0.5, 0.5001, 0.9999, 1.0]),
    st.integers(0, 10_000).map(lambda parts: parts / 10_000),
)
cohort_shares = st.one_of(st.just(1.0), st.sampled_from([0.0001, 0.001, 0.5, 0.9999]), st.floats(0.0001, 1.0))
salts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
units = st.one_of(st.none(), st.text(), st.text(st.characters(max_codepoint=127), min_size=1), st.integers().map(str))
stages = st.sampled_from([None, "shadow", "5", "25", "50", "100"])
states = st.sampled_from(
    ["registered", "armed", "shadow", "ramping", "held", "awaiting_approval", "promoted", "rolled_back", "rejected", "retired"]
)
expiries = st.sampled_from([None, datetime(2001, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)])
