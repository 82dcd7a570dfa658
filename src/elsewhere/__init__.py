"""Elsewhere: measure, explain and close generalization gaps.

Your model works here. Will it work elsewhere?

The names below load on first use, so that `import elsewhere` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elsewhere.audit.planning import plan as plan
    from elsewhere.audit.predictions import audit as audit
    from elsewhere.core.errors import InputError as InputError
    from elsewhere.core.gap_report import GapReport as GapReport
    from elsewhere.core.gaps import Gap as Gap
    from elsewhere.core.gaps import gap as gap
    from elsewhere.core.grouped import GroupedScores as GroupedScores
    from elsewhere.core.grouped import grouped_scores as grouped_scores
    from elsewhere.core.metrics import Metric as Metric
    from elsewhere.core.metrics import Resampled as Resampled
    from elsewhere.core.metrics import get_metric as get_metric
    from elsewhere.core.metrics import metric_names as metric_names
    from elsewhere.core.scores import Scored as Scored

__version__ = "0.1.0"

_HOMES = {
    "Gap": "core.gaps",
    "GapReport": "core.gap_report",
    "GroupedScores": "core.grouped",
    "InputError": "core.errors",
    "Metric": "core.metrics",
    "Resampled": "core.metrics",
    "Scored": "core.scores",
    "gap": "core.gaps",
    "get_metric": "core.metrics",
    "grouped_scores": "core.grouped",
    "metric_names": "core.metrics",
    "plan": "audit.planning",
}
_ROOMS = ("audit", "core", "data", "measures", "remedies", "report", "testing")

__all__ = [  # noqa: PLE0604 (names, though gathered from a table)
    "__version__",
    "audit",
    "data",
    "measures",
    "remedies",
    "report",
    "testing",
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    """Load a public name or room on first use."""
    if name in _HOMES:
        value = getattr(import_module(f"elsewhere.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"elsewhere.{name}")
    raise AttributeError(f"module 'elsewhere' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
