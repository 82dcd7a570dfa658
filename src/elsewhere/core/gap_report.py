"""The one object that everything returns: here, elsewhere, why, and how sure."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from elsewhere.core.calibration import Calibration
from elsewhere.core.closing import Closing
from elsewhere.core.errors import InputError
from elsewhere.core.explanations import Failures, Shortcuts, Stability
from elsewhere.core.gaps import Gap
from elsewhere.core.keys import GroupKey, Value, key_text
from elsewhere.core.plans import BuyingPlan
from elsewhere.core.pools import Pool
from elsewhere.core.records import decode, encode
from elsewhere.core.shifts import Decomposition, Fits, Forecast, Rung, Transfer

SCHEMA = 1
"""Version of the JSON form; it rises when a field changes its meaning or goes away."""


@dataclass(frozen=True)
class Rate:
    """What can be said of a group with one class: recall, or false-positive rate.

    Args:
        name: "recall" or "false-positive rate".
        value: The rate at `threshold`.
        low: Lower limit.
        high: Upper limit.
        threshold: Score from which a row counts as positive.
    """

    name: str
    value: float
    low: float
    high: float
    threshold: float


@dataclass(frozen=True)
class GroupRow:
    """One group's numbers.

    Args:
        key: The group.
        n_rows: Rows of the group (elsewhere's, where there are two sides).
        n_blocks: Independent units among them.
        value: Metric on the group.
        low: Lower limit of the value, for this group alone.
        high: Upper limit of the value.
        here: Metric of the other side: the same group here, or the average of the other groups.
        gap: Here minus value, positive when the group is worse.
        gap_low: Lower limit of the gap, for this group alone.
        gap_high: Upper limit.
        joint_low: Lower limit that holds for all groups together.
        joint_high: Upper limit that holds for all groups together.
        shrunk: Gap after partial pooling: what remains when chance is discounted.
        shrunk_low: Lower limit of the shrunken gap, for all groups together.
        shrunk_high: Upper limit.
        p: Two-sided p-value of no gap.
        q: The p-value adjusted for the number of groups (Benjamini-Hochberg).
        reason: Why there is no value; empty if there is one.
        rate: For groups with one class, the rate that takes the metric's place.
    """

    key: GroupKey
    n_rows: int
    n_blocks: int
    value: float
    low: float
    high: float
    here: float
    gap: float
    gap_low: float
    gap_high: float
    joint_low: float
    joint_high: float
    shrunk: float
    shrunk_low: float
    shrunk_high: float
    p: float
    q: float
    reason: str = ""
    rate: Rate | None = None


@dataclass(frozen=True)
class Distance:
    """Difference between two groups: a named pair, or the best and the worst.

    With two sides, best and worst are ranked by their gaps; a named pair always compares values
    (elsewhere's, where there are two sides).

    Args:
        best: The group that does better (of a named pair, the first); empty if there is none.
        worst: The other group; empty if there is none.
        estimate: How much worse `worst` does.
        low: Lower limit (for best and worst, over all pairs together).
        high: Upper limit.
        mix: Which class mix was used: "as found", "balanced" or "matched".
        reason: Why there is no number; empty if there is one.
    """

    best: GroupKey
    worst: GroupKey
    estimate: float
    low: float
    high: float
    mix: str = "as found"
    reason: str = ""


@dataclass(frozen=True)
class RankParts:
    """A pooled rank metric taken apart: pairs of rows within groups and across groups.

    Args:
        side: "here", "elsewhere" or "all rows".
        pooled: The metric on all rows as one group.
        low: Lower limit.
        high: Upper limit.
        within: Its part from pairs within a group.
        between: Its part from pairs of rows in different groups, where calibrations mix.
        within_share: Share of pairs that are within a group.
    """

    side: str
    pooled: float
    low: float
    high: float
    within: float
    between: float
    within_share: float


Contrast: TypeAlias = Literal["here and elsewhere", "each group and the others"]


@dataclass(frozen=True)
class Grouping:
    """A model's numbers by one way to group rows.

    Args:
        columns: The columns that make the groups.
        ordered: Whether groups have an order (periods of time).
        contrast: What the gap compares.
        gap: The headline. Where the table does not say what was seen in training, it is the gap
            of the lowest group to the average of the others, with limits that hold for all
            groups together.
        rows: One entry a group, in key order.
        worst: Groups that may be the worst; the worst is named only if it is alone.
        distance: Best to worst group.
        pairs: Named pairs, and best to worst under other class mixes.
        spread: Standard deviation between the groups' true gaps, chance discounted.
        pooled_gap: The gap with all rows pooled, where two sides exist.
        parts: Pooled rank metric in parts, one entry a side.
        mixes: The gap under other class mixes, by mix.
        transfer: Models of one group each on every group, where models were fitted.
        decompositions: Why each group is worse for models that never saw it, where models were
            fitted; one entry a group.
        forecasts: Forecasts without labels, smallest error first, where models were fitted.
        shortcuts: Features that carry the model here and not elsewhere, where models were fitted.
        stability: How the features' levels differ from group to group, where features are known.
        failures: Where the model fails elsewhere, where features are known.
        closing: What closes the gap and at what price, where models were fitted.
    """

    columns: tuple[str, ...]
    ordered: bool
    contrast: Contrast
    gap: Gap
    rows: tuple[GroupRow, ...]
    worst: tuple[GroupKey, ...]
    distance: Distance
    pairs: tuple[Distance, ...] = ()
    spread: float = float("nan")
    pooled_gap: Gap | None = None
    parts: tuple[RankParts, ...] = ()
    mixes: dict[str, Gap] = field(default_factory=dict[str, Gap])
    transfer: Transfer | None = None
    decompositions: tuple[Decomposition, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    shortcuts: Shortcuts | None = None
    stability: Stability | None = None
    failures: Failures | None = None
    closing: Closing | None = None

    @property
    def name(self) -> str:
        """The columns as text."""
        return " x ".join(self.columns)

    @property
    def worst_text(self) -> str:
        """Name the worst group, or say that none can be told apart."""
        if len(self.worst) == 1:
            return key_text(self.worst[0])
        return f"not distinguishable: {len(self.worst)} groups"


@dataclass(frozen=True)
class GroupCalibration:
    """Calibration of one group; an empty key stands for all rows."""

    key: GroupKey
    calibration: Calibration


@dataclass(frozen=True)
class ModelAudit:
    """All numbers of one model (one prediction column).

    Args:
        name: The prediction column.
        groupings: One entry a grouping, in the order asked for.
        intersections: Groups of several columns at once, largest gap first.
        calibrations: Calibration of all rows, then of each group of the first grouping.
        calibration_reason: Why there is no calibration; empty if there is one.
        ladder: From random rows to unseen blocks, unseen groups and later rows, all averaged
            within the first grouping, where models were fitted.
    """

    name: str
    groupings: tuple[Grouping, ...]
    intersections: tuple[GroupRow, ...] = ()
    calibrations: tuple[GroupCalibration, ...] = ()
    calibration_reason: str = ""
    ladder: tuple[Rung, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows.

    Args:
        first: One model.
        second: The other.
        grouping: The grouping over which values are averaged.
        estimate: How much better the first is (elsewhere, where there are two sides).
        low: Lower limit.
        high: Upper limit.
        reason: Why there is no number; empty if there is one.
        rung: The step of the ladder on which both are compared, where models were fitted.
    """

    first: str
    second: str
    grouping: str
    estimate: float
    low: float
    high: float
    reason: str = ""
    rung: str = ""


@dataclass(frozen=True)
class Change:
    """The headline gap against an earlier report's.

    Args:
        before: The gap then.
        now: The gap now.
        estimate: Now minus before; negative means that the gap closed.
        low: Lower limit.
        high: Upper limit.
        pairing: What pairs the two reports, in words.
    """

    before: float
    now: float
    estimate: float
    low: float
    high: float
    pairing: str


@dataclass(frozen=True)
class Pairing:
    """What a later report needs to compute a paired change.

    Args:
        unit: What was hashed: "block", "row identity" or "row position".
        rows: Hash of the units and targets; equal hashes mean the same rows.
        group: The group of the headline, where there is one side.
        influence: How far the units of each of 200 hash classes move the headline gap.
    """

    unit: str
    rows: str
    group: GroupKey
    influence: tuple[float, ...]


@dataclass(frozen=True)
class GapReport:
    """Here, elsewhere, why, and how sure; renders, stores and compares itself.

    Args:
        table: Name of the audited table.
        metric: Metric of every number.
        greater_is_better: Its direction; gaps are positive when elsewhere is worse, either way.
        level: Confidence level of every interval.
        negligible: Size below which a gap does not matter; 0 if none was stated.
        n_rows: Rows audited.
        models: One entry a prediction column.
        comparisons: Differences between models.
        change: Change against an earlier report, if one was given.
        pairing: What a later report needs for a paired change.
        notes: What the reader must know to read the numbers.
        settings: Columns and options of the audit.
        provenance: Versions and content hash of the table.
        fits: The models that were fitted, if any were.
        pool: Slopes over the models, where there are five or more.
        plan: Which rows to buy next, where that was asked.
    """

    table: str
    metric: str
    greater_is_better: bool
    level: float
    negligible: float
    n_rows: int
    models: tuple[ModelAudit, ...]
    comparisons: tuple[Comparison, ...] = ()
    change: Change | None = None
    pairing: Pairing | None = None
    notes: tuple[str, ...] = ()
    settings: dict[str, Value] = field(default_factory=dict[str, Value])
    provenance: dict[str, Value] = field(default_factory=dict[str, Value])
    fits: Fits | None = None
    pool: Pool | None = None
    plan: BuyingPlan | None = None

    @property
    def headline(self) -> Grouping:
        """The first model's first grouping."""
        return self.models[0].groupings[0]

    @property
    def gap(self) -> Gap:
        """The headline gap."""
        return self.headline.gap

    @property
    def answer(self) -> str:
        """What the headline interval allows to say: see `Gap.answer`."""
        return self.gap.answer(self.negligible)

    def first_line(self) -> str:
        """Write the headline as one line.

        Returns:
            Like "here 0.776 · elsewhere 0.658 · gap 0.118 [0.101, 0.136] · next month
            [0.05, 0.19]".
        """
        g, grouping = self.gap, self.headline
        if not np.isfinite(g.estimate):
            return f"no gap can be computed by {grouping.name}: {g.reason or 'too few rows'}"
        places = 3 if max(abs(g.here), abs(g.elsewhere)) < 10 else 1

        def text(value: float) -> str:
            return f"{value:.{places}f}"

        if grouping.contrast == "here and elsewhere":
            first, second = f"here {text(g.here)}", f"elsewhere {text(g.elsewhere)}"
        else:
            alone = len(grouping.worst) == 1
            who = (
                f"worst {grouping.name} {grouping.worst_text}"
                if alone
                else (
                    f"lowest {grouping.name}"
                    if self.greater_is_better
                    else f"highest {grouping.name}"
                )
            )
            first, second = f"other groups {text(g.here)}", f"{who} {text(g.elsewhere)}"
        line = f"{first} · {second} · gap {text(g.estimate)} [{text(g.low)}, {text(g.high)}]"
        if np.isfinite(g.next_low):
            line += f" · next {grouping.name} [{g.next_low:.2f}, {g.next_high:.2f}]"
        return line

    def verdict(self) -> str:
        """Say in one sentence what follows from the headline interval."""
        g, size = self.gap, self.negligible
        could = f"a gap of {g.detectable:.3f} would have been found with power .8"
        stated = f" (stated as negligible: {size:g})" if size else ""
        one_sided = self.headline.contrast == "each group and the others"
        if self.answer == "gap" and one_sided:
            return f"Groups differ: the whole interval of the largest gap lies above {size:g}."
        if self.answer == "gap":
            return f"Worse elsewhere: the whole interval lies above {size:g}."
        if self.answer == "no gap":
            return f"No gap: the whole interval lies below {size:g}{stated}."
        if self.answer == "better elsewhere":
            return "Better elsewhere: the whole interval lies below 0."
        if not np.isfinite(g.estimate):
            return f"No answer: {g.reason or 'no group has a value'}."
        return f"Unclear{stated}: the interval does not decide; {could}."

    def to_json(self) -> str:
        """Write the report as JSON: sorted keys, 10 significant digits, null for no number."""
        return (
            json.dumps(
                {"schema": SCHEMA, **encode(self)},
                ensure_ascii=False,
                indent=1,
                allow_nan=False,
                sort_keys=True,
            )
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> GapReport:
        """Read what `to_json` wrote.

        Args:
            text: JSON text.

        Returns:
            The report.

        Raises:
            InputError: Other JSON, or a report of another schema version.
        """
        try:
            found: Any = json.loads(text)
        except (ValueError, RecursionError) as error:  # also an integer of too many digits
            raise InputError(
                "report",
                f"is not JSON ({error})",
                "a report written as .json",
                "--out report.json in an earlier run",
            ) from None
        if not isinstance(found, dict) or "schema" not in found:
            raise InputError(
                "report",
                "is JSON of another kind",
                "a report with a schema version",
                "--out report.json in an earlier run",
            )
        record: dict[str, Any] = {str(k): v for k, v in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if record.pop("schema") != SCHEMA:
            raise InputError(
                "report",
                "was written by another version of elsewhere",
                f"schema {SCHEMA}",
                "audit the earlier predictions again",
            )
        return decode(cls, record, "report")

    def _repr_html_(self) -> str:
        """Show the headline and the groups in a notebook."""
        cells = "".join(
            f"<tr><td>{html.escape(key_text(row.key))}</td><td>{row.n_rows}</td>"
            f"<td>{row.value:.3f}</td><td>{row.gap:.3f} [{row.gap_low:.3f}, {row.gap_high:.3f}]"
            "</td></tr>"
            for row in self.headline.rows[:40]
        )
        more = len(self.headline.rows) - 40
        tail = f"<p>and {more} more groups</p>" if more > 0 else ""
        return (
            f"<p><strong>{html.escape(self.first_line())}</strong><br>"
            f"{html.escape(self.verdict())}</p><table><thead><tr>"
            f"<th>{html.escape(self.headline.name)}</th><th>rows</th>"
            f"<th>{html.escape(self.metric)}</th><th>gap</th></tr></thead>"
            f"<tbody>{cells}</tbody></table>{tail}"
        )
