"""Kinds of values that several verbs take on the command line, refused in a sentence."""

from __future__ import annotations

import argparse
import math

SPEED_MAX = 1000.0


def speed(text: str) -> float:
    """Simulated seconds per real second, for argparse.

    Raises:
        argparse.ArgumentTypeError: Time would stand still, run backwards or outrun the machine.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value <= SPEED_MAX:  # false for nan too
        raise argparse.ArgumentTypeError(
            f"a speed is a number above 0 and at most {SPEED_MAX:g}, such as 1 or 20; "
            f"found {text!r}"
        )
    return value


def port(text: str) -> int:
    """A TCP port, 0 for any free one, for argparse.

    Raises:
        argparse.ArgumentTypeError: There is no such port.
    """
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"a port is a number from 0 (any free one) to 65535; found {text!r}"
        )
    return int(text)
