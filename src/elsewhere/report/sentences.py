"""What the numbers mean, in plain sentences that hold the numbers of the report at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from elsewhere.core.gaps import MIN_GROUPS_FOR_NEXT, Gap
from elsewhere.report.choice import largest
from elsewhere.report.layout import Context, Fact
from elsewhere.report.words import percent, plural

if TYPE_CHECKING:
    from elsewhere.core.calibration import Calibration
    from elsewhere.core.gap_report import Change, Grouping

ANSWERS = {
    "gap": "A gap: the whole interval lies above {size}.",
    "no gap": "No gap: the whole interval lies below {size}, the size stated as negligible.",
    "better elsewhere": "Better elsewhere: the whole interval lies below 0.",
    "unclear": "Unclear: the interval does not decide.",
}

POOLING = (
    "The pooled value also compares rows of different groups. A score of 0.3 need not mean the "
    "same in two groups, so a pooled value can be low, or change from one side to the other, "
    "although the order within every group is as good."
)

TRUST = (
    "To know how well the model orders cases where it is used, one group at a time, trust the "
    "average within groups. The pooled value answers another question: how well one list over all "
    "groups would be ordered."
)


BRIEF = "Trust the average within groups to know how well the model orders cases of one group."


def two_sided(grouping: Grouping) -> bool:
    """Whether the gap compares here and elsewhere, and not each group with the others."""
    return grouping.contrast == "here and elsewhere"


def headline(context: Context) -> list[Fact]:
    """Write the parts of the report's first line, each with its interval.

    Args:
        context: The page.

    Returns:
        Both sides, the gap, and the interval for one more group where there is one.
    """
    report, numbers = context.report, context.numbers
    gap, grouping = report.gap, report.headline
    name = context.grouping(grouping)
    if two_sided(grouping):
        first, second = "here", "elsewhere"
    else:
        lowest = "lowest" if report.greater_is_better else "highest"
        first, second = "other groups", f"{lowest} {name}"
        if len(grouping.worst) == 1:
            second = f"worst {name} {context.text(context.group(grouping.worst[0]))}"
    facts = [
        Fact(first, numbers.one(gap.here), numbers.interval(gap.here_low, gap.here_high)),
        Fact(
            second,
            numbers.one(gap.elsewhere),
            numbers.interval(gap.elsewhere_low, gap.elsewhere_high),
        ),
        Fact("gap", numbers.one(gap.estimate), numbers.interval(gap.low, gap.high), main=True),
    ]
    if math.isfinite(gap.next_low):
        facts.append(
            Fact(
                f"next {name}",
                numbers.interval(gap.next_low, gap.next_high),
                "its gap, forecast",
                is_range=True,
            )
        )
    return facts


def intervals(context: Context) -> list[Fact]:
    """Explain each kind of interval with the headline's own numbers.

    Args:
        context: The page.

    Returns:
        A term and one or two sentences each.
    """
    grouping = context.report.headline
    return [
        _mean(context, grouping),
        _one_more(context, grouping),
        *_joint(context, grouping),
        *_shrunk(context, grouping),
        _pooled(context, grouping),
    ]


def _mean(context: Context, grouping: Grouping) -> Fact:
    """Explain the headline interval."""
    gap, name = grouping.gap, context.grouping(grouping)
    value = context.numbers.both(gap.estimate, gap.low, gap.high)
    if not math.isfinite(gap.estimate):
        return Fact("The headline gap", f"There is none: {context.long_text(gap.reason)}.")
    groups = plural(gap.n_groups, "group")
    if two_sided(grouping):
        return Fact(
            "The mean gap over these groups",
            f"{value} is the average over the {groups} by {name} in this table, each counting "
            "once. It speaks of these groups only, and more rows make its interval narrower.",
        )
    lowest = "lowest" if context.report.greater_is_better else "highest"
    return Fact(
        f"The gap of the {lowest} group",
        "The table does not say what the model saw in training, so each group is compared with "
        f"the average of the others. The headline, {value}, is the group with the {lowest} value; "
        f"it was picked after looking at all {groups}, and its limits allow for that.",
    )


def _one_more(context: Context, grouping: Grouping) -> Fact:
    """Explain the interval for a group that is not in the table."""
    gap, name = grouping.gap, context.grouping(grouping)
    term = f"One more {name}"
    if math.isfinite(gap.next_low):
        against = "" if two_sided(grouping) else ", measured from the average of these,"
        return Fact(
            term,
            f"{context.numbers.interval(gap.next_low, gap.next_high)} is where the gap of one more "
            f"{name}{against} should lie with {context.level} confidence, if it is drawn as these "
            "were. Only more groups make it narrower; more rows hardly do.",
        )
    if gap.n_groups < MIN_GROUPS_FOR_NEXT:
        return Fact(
            term,
            f"Not given: {plural(gap.n_groups, 'group says', 'groups say')} nothing about the next "
            f"one. At least {MIN_GROUPS_FOR_NEXT} are needed.",
        )
    return Fact(term, "Not given: this report holds no interval for one more group.")


def _joint(context: Context, grouping: Grouping) -> list[Fact]:
    """Explain single and joint intervals with the group of the largest gap."""
    row = largest(grouping.rows)
    if row is None or not math.isfinite(row.joint_low):
        return []
    n = sum(math.isfinite(other.joint_low) for other in grouping.rows)
    name = context.group_in_text(row.key)
    together = context.numbers.interval(row.joint_low, row.joint_high)
    return [
        Fact(
            "One group alone, or all together",
            f"{name} by itself has a gap of {context.gap(row)}: right for a group that you chose "
            f"before looking. Its joint interval is {together}: with {context.level} confidence "
            f"all {plural(n, 'joint interval')} are right at once. Read the joint ones when you "
            "scan the list for a bad group.",
        )
    ]


def _shrunk(context: Context, grouping: Grouping) -> list[Fact]:
    """Explain partial pooling."""
    row = largest(grouping.rows)
    term = "After partial pooling"
    if row is None or not math.isfinite(row.shrunk):
        return []
    if not math.isfinite(grouping.spread):
        return [
            Fact(
                term,
                "The most extreme of several noisy values is too extreme. With fewer "
                "than 4 groups nothing can be done about it, so nothing was.",
            )
        ]
    one, name = context.numbers.one, context.group_in_text(row.key)
    what = "gaps" if two_sided(grouping) else "values"
    return [
        Fact(
            term,
            "The most extreme of many noisy values is too extreme. Partial pooling draws each "
            f"group towards the mean by as much as chance explains: {name} goes from "
            f"{one(row.gap)} to {one(row.shrunk)}. Beyond chance, the groups' {what} differ with "
            f"a standard deviation of {one(grouping.spread)}.",
        )
    ]


def _pooled(context: Context, grouping: Grouping) -> Fact:
    """Explain the average within groups against all rows pooled."""
    pooled = grouping.pooled_gap
    if pooled is None or not math.isfinite(pooled.estimate):
        return Fact(
            "Within groups or pooled",
            "All numbers here are taken within groups, so that "
            "only rows of one group are compared with each other.",
        )
    value = context.numbers.both(pooled.estimate, pooled.low, pooled.high)
    if grouping.parts:
        why = (
            "Pooled, rows of different groups are compared too, whose scores may be calibrated "
            "differently: trust the average within groups."
        )
    else:
        why = "Pooled, each row counts once and large groups count for more."
    return Fact(
        "Within groups or pooled",
        f"The headline takes each group by itself and averages. With all rows pooled the gap would "
        f"be {value}. {why}",
    )


def answer(context: Context, gap: Gap) -> str:
    """Say what an interval allows to say, and what could have been found if it is unclear.

    Args:
        context: The page, for the negligible size.
        gap: The gap.

    Returns:
        One sentence or two.
    """
    if not math.isfinite(gap.estimate):
        return f"No answer: {context.long_text(gap.reason or 'no group has a value')}."
    found = gap.answer(context.report.negligible)
    text = ANSWERS[found].format(size=f"{context.report.negligible:g}")
    if found == "unclear" and math.isfinite(gap.detectable):
        text += f" A gap of {context.numbers.one(gap.detectable)} would have been found."
    return text


def facts(context: Context, grouping: Grouping) -> list[Fact]:
    """List the main numbers of a grouping.

    Args:
        context: The page.
        grouping: The grouping.

    Returns:
        Gap, next group, worst group, distance, spread and the detectable size.
    """
    numbers, gap, name = context.numbers, grouping.gap, context.grouping(grouping)
    found = [Fact("Gap", numbers.one(gap.estimate), numbers.interval(gap.low, gap.high), main=True)]
    following = numbers.interval(gap.next_low, gap.next_high)
    few = gap.n_groups < MIN_GROUPS_FOR_NEXT
    missing = f"not given, {plural(gap.n_groups, 'group')}" if few else "not given"
    found.append(Fact(f"One more {name}", following or missing))
    found.append(Fact("Worst group", worst(context, grouping)))
    far = grouping.distance
    if math.isfinite(far.estimate):
        ends = f"{context.group_in_text(far.best)} to {context.group_in_text(far.worst)}"
        found.append(
            Fact(
                "Best to worst",
                numbers.one(far.estimate),
                numbers.interval(far.low, far.high),
                ends,
            )
        )
    elif far.reason:
        found.append(Fact("Best to worst", context.long_text(far.reason)))
    if math.isfinite(grouping.spread):
        found.append(
            Fact(
                "Spread beyond chance",
                numbers.one(grouping.spread),
                more="standard deviation between groups",
            )
        )
    if math.isfinite(gap.detectable):
        found.append(
            Fact(
                "Detectable gap",
                numbers.one(gap.detectable),
                more="would have been found with power .8",
            )
        )
    return found


def worst(context: Context, grouping: Grouping) -> str:
    """Name the worst group, or say that it cannot be told."""
    if not grouping.worst:
        return "none: no group has a value"
    if len(grouping.worst) == 1:
        return context.group_in_text(grouping.worst[0])
    return grouping.worst_text


def pooling(context: Context, grouping: Grouping, *, first: bool) -> list[str]:
    """Explain the pooled metric in parts and say which number to trust.

    Args:
        context: The page.
        grouping: A grouping that has parts.
        first: Whether this is the first such explanation on the page; later ones are brief.

    Returns:
        Paragraphs.
    """
    metric = context.text(context.report.metric)
    part = grouping.parts[0]
    pairs = (
        f"Of all pairs that the pooled {metric} compares ({part.side}), "
        f"{percent(part.within_share)} are of one group."
    )
    paragraphs = [f"{POOLING} {pairs}", TRUST] if first else [f"{pairs} {BRIEF}"]
    pooled = grouping.pooled_gap
    if pooled is not None and math.isfinite(pooled.estimate):
        both = context.numbers.both
        paragraphs.append(
            f"Within groups the gap is "
            f"{both(grouping.gap.estimate, grouping.gap.low, grouping.gap.high)}; pooled it would "
            f"be {both(pooled.estimate, pooled.low, pooled.high)}."
        )
    return paragraphs


def calibrated(context: Context, found: Calibration) -> str:
    """Say in a sentence how far probabilities are from frequencies.

    Args:
        context: The page.
        found: Calibration of all rows.

    Returns:
        One or two sentences.
    """
    numbers = context.numbers
    if not math.isfinite(found.error):
        return f"No calibration: {context.long_text(found.reason)}."
    error = numbers.both(found.error, found.low, found.high)
    bias = numbers.both(abs(found.bias), *sorted((abs(found.bias_low), abs(found.bias_high))))
    if found.bias_low > 0:
        side = f"On average risks are overstated by {bias}."
    elif found.bias_high < 0:
        side = f"On average risks are understated by {bias}."
    else:
        signed = numbers.both(found.bias, found.bias_low, found.bias_high)
        side = f"On average risks are neither clearly overstated nor understated: {signed}."
    return (
        f"Predicted probabilities lie {error} from the observed shares, with the part that chance "
        f"alone produces taken away. {side}"
    )


def changed(context: Context, change: Change) -> str:
    """Say whether the gap closed since the earlier report."""
    numbers = context.numbers
    interval = numbers.both(change.estimate, change.low, change.high)
    if not math.isfinite(change.estimate) or math.isnan(change.low) or math.isnan(change.high):
        return "The change has no interval, so nothing follows from it."
    if change.high < 0:
        return f"The gap became smaller: the change is {interval}, all of it below 0."
    if change.low > 0:
        return f"The gap became larger: the change is {interval}, all of it above 0."
    return f"Unclear whether the gap changed: the change is {interval}, which holds 0."


def cannot_tell(context: Context) -> list[Fact]:
    """List what the report leaves open.

    Args:
        context: The page.

    Returns:
        A short term and one or two sentences each.
    """
    return [
        _why(context),
        _other_groups(context),
        _training(context),
        *_remedies(context),
        Fact(
            "Whether the labels are right",
            "Targets are taken as true. Labels that are wrong "
            "more often in some groups look like a gap.",
        ),
        _no_gap(context),
    ]


def _why(context: Context) -> Fact:
    """Say what is known of causes."""
    models = context.report.models
    if any(grouping.decompositions for model in models for grouping in model.groupings):
        text = (
            "The parts of a loss say what changed, the features or the target given them, not who "
            "or what changed it, and only for features that the table holds. A column that is "
            "missing looks like a shift of y given x."
        )
    else:
        text = (
            "A gap says that the model does worse, not what makes it so. Groups can differ "
            "in difficulty, in their mix of classes, in how things are measured and in how they "
            "are labelled."
        )
    return Fact("Why", text)


def _other_groups(context: Context) -> Fact:
    """Say what is known of groups outside the table."""
    gap, name = context.report.gap, context.grouping(context.report.headline)
    if math.isfinite(gap.next_low):
        text = (
            f"The interval for one more {name} forecasts a group drawn as these were. A group "
            "of another kind can lie far outside it."
        )
    else:
        text = f"There is no interval for one more {name}, so nothing is said about any other."
    return Fact("Groups that are not in the table", text)


def _training(context: Context) -> Fact:
    """Say what is known of the rows that the model learnt from."""
    if context.report.fits is not None:
        text = (
            "The models were fitted for this report, so what each of them saw is known. That holds "
            "for rows, groups and blocks; a column that gives the target away is not noticed, "
            "unless it stops doing so elsewhere."
        )
    elif two_sided(context.report.headline):
        text = (
            "The table says which rows are here and which are elsewhere, and this report takes "
            "its word. Elsewhere rows that were seen in training make the gap look smaller."
        )
    else:
        text = (
            "The table does not say which rows the model saw in training. Rows that it has "
            "seen look better than new ones, so every value here may be too good."
        )
    return Fact("What was seen in training", text)


def _remedies(context: Context) -> list[Fact]:
    """Say what the gains of remedies hold for, where any was tried."""
    groupings = [grouping for model in context.report.models for grouping in model.groupings]
    tried = (one for g in groupings if g.closing for one in g.closing.attempts if not one.reason)
    if next(tried, None) is None:
        return []
    return [
        Fact(
            "Whether a remedy helps the next group",
            "Gains are means over the groups of this table. A remedy that helps on average can "
            "harm one group, and a group of another kind may gain nothing.",
        )
    ]


def _no_gap(context: Context) -> Fact:
    """Say what an interval around 0 means and what could have been detected."""
    report, gap = context.report, context.report.gap
    text = "An interval that holds 0 is not evidence of no gap."
    if math.isfinite(gap.detectable):
        text += (
            f" For the headline, a true gap of {context.numbers.one(gap.detectable)} would "
            "have been found with power .8; a smaller one may well be missed."
        )
    if report.negligible > 0:
        text += f" To say “no gap” the whole interval must lie below {report.negligible:g}."
    else:
        text += " To say “no gap”, state first what size would not matter (negligible)."
    return Fact("That there is no gap", text)


def fits(context: Context) -> str:
    """Say what was fitted, or nothing where nothing was.

    Args:
        context: The page.

    Returns:
        Estimator, features, number of fits and rows of each training set.
    """
    found = context.report.fits
    if found is None:
        return ""
    features = context.few([context.text(name) for name in found.features], 12)
    rows = [f"{context.text(design)} {plural(n, 'row')}" for design, n in found.rows.items()]
    text = (
        f"Fitted: {context.text(found.estimator)}, {plural(found.n, 'fit')}, on "
        f"{plural(len(found.features), 'feature')}{f' ({features})' if features else ''}."
    )
    return f"{text} Training sets: {'; '.join(rows[: context.limits.rows])}." if rows else text
