"""Numbers from the trace of a tool-using agent: which tools, in which order, with what, how fast.

A trace is a plain JSON object: `{"steps": [...], "total_duration_ms": ...}`. A step is
`{"tool": name or {"name": name}, "timestamp": ISO 8601, "duration_ms": number, "params": object,
"data_in": any, "data_out": any}`. Other entries are not read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from elsewhere.core.arrays import Floats

KeyOrder: TypeAlias = Literal["sorted", "as given"]
"""Order of the entries of JSON objects when they are written as text."""

ACTION_FEATURES = (
    "tool_diversity",
    "tool_entropy",
    "max_tool_freq",
    "total_actions",
    "avg_params_length",
    "max_params_length",
    "rare_tool_ratio",
    "rare_tool_count",
    "tool_concentration",
)
"""Which tools are called, and how often."""

SEQUENCE_FEATURES = (
    "unique_bigrams",
    "max_bigram_freq",
    "bigram_diversity",
    "unique_trigrams",
    "trigram_diversity",
    "repetition_ratio",
    "max_consecutive_repeats",
    "sequence_length",
    "unique_transitions",
    "transition_entropy",
    "has_loops",
    "loop_count",
)
"""The order of the calls; all 0 below two steps."""

DATA_FEATURES = (
    "avg_input_size",
    "max_input_size",
    "std_input_size",
    "input_size_variation",
    "avg_output_size",
    "max_output_size",
    "std_output_size",
    "output_size_variation",
    "avg_io_ratio",
    "max_io_ratio",
    "dependency_ratio",
    "total_dependencies",
    "sensitive_data_mentions",
    "has_sensitive_data",
    "data_flow_complexity",
)
"""What goes into tools and comes out of them."""

TIME_FEATURES = (
    "avg_duration",
    "max_duration",
    "std_duration",
    "duration_variation",
    "avg_delay",
    "max_delay",
    "std_delay",
    "delay_variation",
    "total_duration",
    "execution_rate",
    "has_long_delays",
    "has_short_durations",
    "timing_entropy",
    "has_burst",
    "burst_intensity",
)
"""How long calls take and how they follow each other; these also carry the provider and the
network, not the model alone."""

TRACE_FEATURES = ACTION_FEATURES + SEQUENCE_FEATURES + DATA_FEATURES + TIME_FEATURES
"""The 51 features in their order. Two say the same as another (`unique_transitions` as
`unique_bigrams`; `sequence_length` as `total_actions` from two steps on), so importances split
between them."""

COMMON_TOOLS = ("Search", "Calculator", "Summarize")
"""Tools that are not rare."""

SENSITIVE = tuple(
    re.compile(pattern)
    for pattern in (
        "password",
        "secret",
        "token",
        "api[_-]?key",
        "credential",
        "auth",
        "private",
        "confidential",
    )
)
"""What counts as a mention of sensitive data, in small letters."""

LONG_DELAY, SHORT_DURATION, BURST = 10_000.0, 100.0, 200.0
"""Limits in milliseconds: of a long delay, a short call, and a delay within a burst."""


def trace_features(
    trace: Any, *, common: Collection[str] = COMMON_TOOLS, key_order: KeyOrder = "sorted"
) -> dict[str, float]:
    """Describe one trace by 51 numbers.

    Args:
        trace: A JSON object, see the top of this module. A step without `params`, `data_in` or
            `data_out` is taken to have empty ones; params that are no object have no length.
            Timestamps without a zone are UTC.
        common: Names of tools that are not rare.
        key_order: How objects are written as text (in the manner of Python's `str`, so sizes
            count quotes and braces): with sorted entries, or, as published, in the order given.
            That order leaves every size as it is, but decides whether one step's output is found
            inside the next step's input (`dependency_ratio`, `total_dependencies`).

    Returns:
        Value of each feature, in the order of `TRACE_FEATURES`. Sizes are characters, times
        milliseconds, entropies bits. `max_tool_freq` and `max_bigram_freq` are counts, and
        `bigram_diversity` is distinct over all. A trace without steps is 51 zeros.

    Raises:
        InputError: Something that is not such an object; the message says which step.

    Cost: square in the number of steps, for loops; linear in the text.

    Reference: Sanna 2025, "Cross-LLM generalization of behavioral backdoor detection in AI agent
        supply chains", arXiv 2511.19874. The features are those of the released code, whose names
        and numbers differ from the paper's text.

    Example:
        >>> call = {"tool": "Search", "timestamp": "2025-01-01T00:00:00Z", "duration_ms": 20}
        >>> found = trace_features({"steps": [call, call | {"tool": {"name": "Shell"}}]})
        >>> found["tool_entropy"], found["rare_tool_count"], found["total_duration"]
        (1.0, 1.0, 40.0)
    """
    if key_order not in ("sorted", "as given"):
        raise InputError(
            "key_order", f"is {key_order!r}", "", nearest(str(key_order), ("sorted", "as given"))
        )
    steps, total = _read(trace, "trace", key_order)
    if not steps:
        return dict.fromkeys(TRACE_FEATURES, 0.0)
    tools = [step.tool for step in steps]
    values = [
        *_action(steps, tools, frozenset(common)),
        *_sequence(tools),
        *_data(steps, tools),
        *_time(steps, total),
    ]
    # Adding 0 turns a negative zero into zero.
    return dict(zip(TRACE_FEATURES, (float(value) + 0.0 for value in values), strict=True))


def trace_table(
    traces: Iterable[Any],
    *,
    common: Collection[str] = COMMON_TOOLS,
    key_order: KeyOrder = "sorted",
) -> Floats:
    """Describe many traces, one row each.

    Args:
        traces: JSON objects.
        common: Names of tools that are not rare.
        key_order: As in `trace_features`.

    Returns:
        Features in the order of `TRACE_FEATURES`, shape (traces, 51).

    Raises:
        InputError: A malformed trace; the message says which.

    Example:
        >>> trace_table([{"steps": []}, {"steps": []}]).shape
        (2, 51)
    """
    rows: list[list[float]] = []
    for place, trace in enumerate(traces):
        try:
            found = trace_features(trace, common=common, key_order=key_order)
        except InputError as error:
            if not error.argument.startswith("trace"):
                raise
            named = f"traces[{place}]" + error.argument.removeprefix("trace")
            raise InputError(named, error.problem, error.expected, error.hint) from None
        rows.append(list(found.values()))
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(TRACE_FEATURES))


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """A step that has been checked.

    Args:
        tool: Name of the tool.
        moment: When it began, in microseconds since 1970.
        duration: Its duration in milliseconds.
        n_params: Number of parameters; -1 if they are no object.
        params: Parameters as text.
        data_in: What went in, as text.
        data_out: What came out, as text.
        gives: Whether anything came out.
    """

    tool: str
    moment: float
    duration: float
    n_params: int
    params: str
    data_in: str
    data_out: str
    gives: bool


def _read(trace: Any, name: str, key_order: KeyOrder) -> tuple[list[_Step], float]:
    """Check a trace; gives its steps and total duration."""
    if not isinstance(trace, Mapping):
        raise InputError(
            name, f"is of type {type(trace).__name__}", "a JSON object", "json.loads(line)"
        )
    given = trace.get("steps")
    if not isinstance(given, list | tuple):
        problem = "is absent" if given is None else f"is of type {type(given).__name__}"
        raise InputError(f"{name}['steps']", problem, "a list of steps")
    steps = [_step(step, f"{name}['steps'][{i}]", key_order) for i, step in enumerate(given)]
    total = trace.get("total_duration_ms")
    if total is None:
        return steps, sum(step.duration for step in steps)
    return steps, _milliseconds(total, f"{name}['total_duration_ms']")


def _step(step: Any, name: str, key_order: KeyOrder) -> _Step:
    """Check one step."""
    if not isinstance(step, Mapping):
        raise InputError(name, f"is of type {type(step).__name__}", "a JSON object")
    tool = step.get("tool")
    if isinstance(tool, Mapping):
        tool = tool.get("name")
    if not isinstance(tool, str) or not tool:
        raise InputError(f"{name}['tool']", f"is {tool!r}", "a name, or an object with a 'name'")
    params = step.get("params", {})
    try:
        written, into, out = (
            str(value if key_order == "as given" else _sorted(value))
            for value in (params, step.get("data_in", {}), step.get("data_out", {}))
        )
    except RecursionError:
        raise InputError(name, "is nested too deeply", "at most some hundred levels") from None
    return _Step(
        tool,
        _moment(step.get("timestamp"), f"{name}['timestamp']"),
        _milliseconds(step.get("duration_ms"), f"{name}['duration_ms']"),
        len(params) if isinstance(params, Mapping) else -1,
        written,
        into,
        out,
        bool(step.get("data_out", {})),
    )


def _sorted(value: Any) -> Any:
    """Sort the entries of objects at every depth."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_sorted(one) for one in value]
    return value


def _milliseconds(value: Any, name: str) -> float:
    """Check a duration."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf:
        problem = "is absent" if value is None else f"is {value!r}"
        raise InputError(name, problem, "milliseconds, a number of at least 0")
    return float(value)


def _moment(value: Any, name: str) -> float:
    """Read an ISO 8601 timestamp as microseconds since 1970; UTC where it names no zone."""
    try:
        if not isinstance(value, str):
            raise TypeError(value)
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        problem = "is absent" if value is None else f"is {value!r}"
        raise InputError(
            name, problem, "an ISO 8601 timestamp", "'2025-11-24T12:00:00.150Z'"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    # Whole microseconds, so that the difference of two moments is rounded once.
    return float(since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds)


# --- the four kinds of features ------------------------------------------------------------------


def _action(steps: Sequence[_Step], tools: Sequence[str], common: frozenset[str]) -> list[float]:
    """Features of `ACTION_FEATURES` for at least one step."""
    counts = Counter(tools)
    lengths = [len(step.params) for step in steps if step.n_params >= 0]
    rare = sum(tool not in common for tool in counts)
    return [
        len(counts),
        _entropy(counts.values()),
        max(counts.values()),
        len(tools),
        float(np.mean(lengths)) if lengths else 0.0,
        max(lengths, default=0),
        rare / len(counts),
        rare,
        _gini(sorted(counts.values())),
    ]


def _sequence(tools: Sequence[str]) -> list[float]:
    """Features of `SEQUENCE_FEATURES`."""
    n = len(tools)
    if n < 2:
        return [0.0] * len(SEQUENCE_FEATURES)
    pairs = Counter(pairwise(tools))
    triples = Counter(zip(tools, tools[1:], tools[2:], strict=False))
    loops, repeats = _loops(tools)
    return [
        len(pairs),
        max(pairs.values()),
        len(pairs) / (n - 1),
        len(triples),
        len(triples) / (n - 2) if triples else 0.0,
        1 - len(set(tools)) / n,
        max(sum(1 for _ in run) for _, run in groupby(tools)),
        n,
        len(pairs),
        _entropy(pairs.values()),
        loops,
        repeats,
    ]


def _data(steps: Sequence[_Step], tools: Sequence[str]) -> list[float]:
    """Features of `DATA_FEATURES` for at least one step."""
    n = len(steps)
    into = np.array([len(step.data_in) for step in steps], dtype=np.float64)
    out = np.array([len(step.data_out) for step in steps], dtype=np.float64)
    share = np.divide(out, into, out=np.zeros(n), where=into > 0)
    handed = sum(
        first.gives and first.data_out in second.data_in for first, second in pairwise(steps)
    )
    mentions = 0
    for step in steps:
        text = (step.data_in + step.data_out + step.params).lower()
        mentions += sum(pattern.search(text) is not None for pattern in SENSITIVE)
    many = sum(step.n_params > 2 for step in steps)
    return [
        *_spread(into),
        *_spread(out),
        float(share.mean()),
        float(share.max()),
        handed / (n - 1) if n > 1 else 0.0,
        handed,
        mentions,
        mentions > 0,
        (len(set(tools)) + many) / n,
    ]


def _time(steps: Sequence[_Step], total: float) -> list[float]:
    """Features of `TIME_FEATURES` for at least one step."""
    duration = np.array([step.duration for step in steps])
    delay = np.diff([step.moment for step in steps]) / 1000
    quick = delay < BURST
    edges = np.linspace(duration.min(), duration.max(), 11)
    return [
        *_spread(duration),
        *_spread(delay),
        total,
        1000 * len(steps) / total if total > 0 else 0.0,
        bool((delay > LONG_DELAY).any()),
        bool((duration < SHORT_DURATION).any()),
        _entropy(np.histogram(duration, edges)[0].tolist()),
        bool((quick[1:] & quick[:-1]).any()),
        float(quick.mean()) if len(quick) else 0.0,
    ]


def _spread(values: Floats) -> list[float]:
    """Mean, largest, population standard deviation, and the latter over the mean."""
    if not len(values):
        return [0.0] * 4
    mean, spread = float(values.mean()), float(values.std())
    return [mean, float(values.max()), spread, spread / mean if mean > 0 else 0.0]


def _entropy(counts: Iterable[float]) -> float:
    """Shannon entropy of counts in bits."""
    filled = np.array([count for count in counts if count > 0], dtype=np.float64)
    share = filled / filled.sum()
    return float(-(share * np.log2(share)).sum())


def _gini(counts: Sequence[int]) -> float:
    """Gini coefficient of ascending counts."""
    k = len(counts)
    ranked = sum(rank * count for rank, count in enumerate(counts, start=1))
    return 2 * ranked / (k * sum(counts)) - (k + 1) / k


def _loops(tools: Sequence[str]) -> tuple[bool, int]:
    """Say whether a stretch of two calls or more comes twice in a row, and count such stretches.

    Short stretches are looked for first; what a counted one covers begins no other.
    """
    names = {tool: place for place, tool in enumerate(dict.fromkeys(tools))}
    coded = np.array([names[tool] for tool in tools])
    n = len(coded)
    covered = np.zeros(n, dtype=bool)
    count = 0
    for length in range(2, n // 2 + 1):
        again = np.concatenate([[0], np.cumsum(coded[:-length] == coded[length:])])
        starts = np.flatnonzero(again[length:] - again[:-length] == length)
        for start in starts[~covered[starts]].tolist():
            if not covered[start]:
                count += 1
                covered[start : start + 2 * length] = True
    return count > 0, count
