"""Backoff is capped, jittered, and forgotten only after health."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.runtime.backoff import Backoff


class HighRandom(Random):
    """Draws the upper bound, so that the bound itself can be read."""

    def uniform(self, a: float, b: float) -> float:
        """The upper bound."""
        return b


def test_the_bound_doubles_up_to_the_cap() -> None:
    """Each failure doubles the bound until the cap, and it stays there for ever."""
    backoff = Backoff(HighRandom(), first_s=0.5, cap_s=4.0)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    backoff.failures = 10_000
    assert backoff.next_s() == 4.0


@pytest.mark.parametrize(
    ("healthy_for_s", "bound_s"),
    [
        pytest.param(0.0, 2.0, id="opening and dying at once is no recovery"),
        pytest.param(59.9, 2.0, id="almost healthy"),
        pytest.param(60.0, 0.5, id="healthy long enough"),
    ],
)
def test_growth_is_forgotten_only_after_health(healthy_for_s: float, bound_s: float) -> None:
    """A connection must have carried frames for the whole healthy period."""
    backoff = Backoff(HighRandom(), first_s=0.5, cap_s=60.0, healthy_s=60.0)
    backoff.next_s()
    backoff.next_s()
    assert backoff.next_s(healthy_for_s=healthy_for_s) == bound_s


@given(seed=st.integers(), failures=st.integers(min_value=0, max_value=200))
def test_every_delay_lies_between_floor_and_cap(seed: int, failures: int) -> None:
    """However long it lasts, no delay is shorter than the floor or longer than the cap."""
    backoff = Backoff(Random(seed), first_s=0.5, cap_s=30.0, floor_s=0.1)  # noqa: S311 - jitter
    backoff.failures = failures
    assert 0.1 <= backoff.next_s() <= 30.0


def test_feeds_that_died_together_come_back_apart() -> None:
    """Full jitter: a hundred feeds spread over the whole interval, not around its end."""
    delays = []
    for seed in range(100):
        backoff = Backoff(Random(seed), first_s=16.0)  # noqa: S311 - jitter
        delays.append(backoff.next_s())
    assert min(delays) < 2.0
    assert max(delays) > 14.0
    assert len({round(delay, 3) for delay in delays}) > 95


def test_bounds_must_be_in_order() -> None:
    """A floor above the first bound is a mistake in the wiring."""
    with pytest.raises(ValueError, match="floor"):
        Backoff(Random(), first_s=0.05, floor_s=0.1)  # noqa: S311 - jitter
