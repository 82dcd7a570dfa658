"""Random generators by name: the same seed and name give the same numbers in any process."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: object) -> np.random.Generator:
    """Make a generator that depends on the seed and the names only.

    Args:
        seed: Seed >= 0.
        names: What the numbers are for, for example ("folds", "site"). Two different tuples of
            names give independent streams, so work can be split over workers in any way.

    Returns:
        A NumPy generator. NumPy's global state is not touched.

    Example:
        >>> int(generator(0, "a").integers(100)) == int(generator(0, "a").integers(100))
        True
    """
    text = "\x1f".join(str(name) for name in names)
    words = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])
