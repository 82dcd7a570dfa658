"""51 numbers from an agent's trace, by hand, in loops, and on odd input."""

from __future__ import annotations

import copy
import doctest
import json
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import elsewhere.ops.traces
from elsewhere.core.errors import InputError
from elsewhere.ops.traces import TRACE_FEATURES, trace_features, trace_table


def step(tool="Search", second=0.0, duration=150.0, **more):
    stamp = f"2025-11-24T12:{int(second // 60):02d}:{second % 60:09.6f}"
    return {"tool": tool, "timestamp": stamp, "duration_ms": duration} | more


def of(tools, **more):
    return trace_features({"steps": [step(t, i) for i, t in enumerate(tools)]} | more)


def rng(*seed):
    return np.random.default_rng(list(seed) or 0)


def test_the_examples_run():
    assert doctest.testmod(elsewhere.ops.traces).failed == 0


def test_there_are_51_features_of_different_names():
    assert len(TRACE_FEATURES) == len(set(TRACE_FEATURES)) == 51


def test_actions_by_hand():
    found = of(["Search", "Shell", "Shell", "Mail"])
    assert found["tool_diversity"] == 3
    assert found["tool_entropy"] == pytest.approx(1.5)
    assert found["max_tool_freq"] == 2
    assert found["rare_tool_count"] == 2
    assert found["rare_tool_ratio"] == pytest.approx(2 / 3)
    # Counts 1, 1, 2: 2 (1 + 2 + 6) / (3 * 4) - 4 / 3.
    assert found["tool_concentration"] == pytest.approx(1.5 - 4 / 3)


def test_other_tools_may_be_common():
    trace = {"steps": [step("Shell"), step("Search")]}
    assert trace_features(trace, common={"Shell"})["rare_tool_count"] == 1
    assert trace_features(trace, common=())["rare_tool_ratio"] == 1


def test_sequences_by_hand():
    found = of("ababc")
    assert found["unique_bigrams"] == found["unique_transitions"] == 3
    assert found["max_bigram_freq"] == 2
    assert found["bigram_diversity"] == 0.75
    assert found["unique_trigrams"] == 3
    assert found["trigram_diversity"] == 1
    assert found["repetition_ratio"] == pytest.approx(0.4)
    assert found["transition_entropy"] == pytest.approx(1.5)
    assert (found["has_loops"], found["loop_count"]) == (1, 1)


@pytest.mark.parametrize(
    ("tools", "loops"),
    [("aaaa", 1), ("aaa", 0), ("abcabc", 1), ("abababab", 2), ("aabaab", 1), ("abcd", 0)],
)
def test_loops_by_hand(tools, loops):
    assert of(tools)["loop_count"] == loops
    assert of(tools)["has_loops"] == (loops > 0)


def slow_loops(tools):
    covered, count = set(), 0
    for length in range(2, len(tools) // 2 + 1):
        for i in range(len(tools) - 2 * length + 1):
            again = tools[i : i + length] == tools[i + length : i + 2 * length]
            if i not in covered and again:
                count += 1
                covered.update(range(i, i + 2 * length))
    return count


def slow_sequence(tools):
    pairs = Counter((tools[i], tools[i + 1]) for i in range(len(tools) - 1))
    longest = run = 1
    for a, b in pairwise(tools):
        run = run + 1 if a == b else 1
        longest = max(longest, run)
    total = sum(pairs.values())
    bits = -sum(c / total * math.log2(c / total) for c in pairs.values())
    return longest, len(pairs), bits


def test_sequences_in_loops():
    for seed in range(60):
        g = rng(seed)
        tools = "".join(g.choice(list("abc")[: g.integers(1, 4)], g.integers(2, 40)))
        found = of(tools)
        longest, pairs, bits = slow_sequence(tools)
        assert found["loop_count"] == slow_loops(tools)
        assert found["max_consecutive_repeats"] == longest
        assert found["unique_bigrams"] == pairs
        assert found["transition_entropy"] == pytest.approx(bits, abs=1e-12)


def test_data_by_hand():
    steps = [
        step(params={"a": 1, "b": 2, "c": 3}, data_in={}, data_out={"k": "My PASSWORD"}),
        step(params={}, data_in={"from": {"k": "My PASSWORD"}}, data_out={}),
        step("Shell", params="text", data_in={}, data_out=None),
    ]
    found = trace_features({"steps": steps})
    sizes = [len(str(s["data_out"])) for s in steps]
    assert found["avg_output_size"] == pytest.approx(np.mean(sizes))
    assert found["std_output_size"] == pytest.approx(np.std(sizes))
    assert found["max_io_ratio"] == sizes[0] / 2
    assert found["total_dependencies"] == 1
    assert found["dependency_ratio"] == 0.5
    # Said in the first step's output and again in the second's input.
    assert found["sensitive_data_mentions"] == 2
    assert found["data_flow_complexity"] == pytest.approx((2 + 1) / 3)
    assert found["avg_params_length"] == (len("{'a': 1, 'b': 2, 'c': 3}") + 2) / 2


def test_a_pattern_counts_once_a_step():
    found = trace_features({"steps": [step(params={"q": "token token api-key api_key apikey"})]})
    assert found["sensitive_data_mentions"] == 2
    assert found["has_sensitive_data"] == 1


def test_time_by_hand():
    steps = [step(second=s, duration=d) for s, d in ((0, 50), (0.1, 100), (0.2, 450), (11, 1000))]
    found = trace_features({"steps": steps, "total_duration_ms": 12_000})
    assert found["avg_delay"] == pytest.approx(11_000 / 3)
    assert found["max_delay"] == pytest.approx(10_800)
    assert found["std_delay"] == pytest.approx(np.std([100, 100, 10_800]))
    assert (found["has_long_delays"], found["has_short_durations"]) == (1, 1)
    assert (found["has_burst"], found["burst_intensity"]) == (1, pytest.approx(2 / 3))
    assert found["execution_rate"] == pytest.approx(1 / 3)
    # Bins of 95 from 50 on: two values in the first, one each in the fifth and the last.
    assert found["timing_entropy"] == pytest.approx(1.5)
    assert trace_features({"steps": steps})["total_duration"] == 1600


def test_equal_durations_have_no_entropy_and_no_time_no_rate():
    found = trace_features({"steps": [step(duration=0), step(duration=0)]})
    assert found["timing_entropy"] == found["execution_rate"] == found["duration_variation"] == 0


def test_no_step_and_one_step():
    assert set(trace_features({"steps": [], "total_duration_ms": 10}).values()) == {0.0}
    found = of(["Search"])
    assert found["total_actions"] == 1
    assert found["sequence_length"] == found["avg_delay"] == found["tool_concentration"] == 0


def test_stamps_with_and_without_zone():
    same = [
        {"steps": [step() | {"timestamp": a}, step() | {"timestamp": b}]}
        for a, b in (
            ("2025-11-24T12:00:00", "2025-11-24T12:00:01.5"),
            ("2025-11-24T12:00:00Z", "2025-11-24T12:00:01.500Z"),
            ("2025-11-24T13:00:00+01:00", "2025-11-24T12:00:01.5"),
        )
    ]
    assert {trace_features(trace)["avg_delay"] for trace in same} == {1500.0}


def example(seed=0):
    g = rng(seed)
    words = list("abcdefgh")
    steps = []
    for i in range(8):
        out = {w: int(g.integers(9)) for w in g.choice(words, 3, replace=False)}
        into = {"from": steps[-1]["data_out"]} if steps and g.random() < 0.6 else {}
        params = {w: w for w in g.choice(words, int(g.integers(4)), replace=False)}
        more = {"params": params, "data_in": into, "data_out": out}
        steps.append(step(str(g.choice(words)), i * 0.3, float(g.integers(20, 900)), **more))
    return {"steps": steps}


def turned(value):
    """The same JSON with entries of objects the other way round."""
    if isinstance(value, dict):
        return {k: turned(value[k]) for k in reversed(value)}
    return [turned(v) for v in value] if isinstance(value, list) else value


def half_turned(trace):
    made = copy.deepcopy(trace)
    for one in made["steps"]:
        one["data_out"] = turned(one["data_out"])
    return made


def test_the_order_of_keys_does_not_matter_and_did_as_published():
    trace = example()
    assert trace_features(trace)["total_dependencies"] > 0
    for other in (turned(trace), half_turned(trace)):
        assert trace_features(other) == trace_features(trace)
    plain = trace_features(trace, key_order="as given")
    broken = trace_features(half_turned(trace), key_order="as given")
    assert plain == trace_features(trace)
    assert broken["total_dependencies"] == 0
    # Sizes never depend on it.
    differ = {name for name in TRACE_FEATURES if plain[name] != broken[name]}
    assert differ == {"total_dependencies", "dependency_ratio"}


def test_names_of_tools_do_not_matter_beyond_being_common():
    trace = example(1)
    other = copy.deepcopy(trace)
    for one in other["steps"]:
        one["tool"] = {"name": one["tool"] + "!", "kind": "x"}
    assert trace_features(other) == trace_features(trace)


def test_a_slower_clock_scales_times_alone():
    trace = example(2)
    slow = copy.deepcopy(trace)
    for i, one in enumerate(slow["steps"]):
        one["duration_ms"] *= 3
        one["timestamp"] = step(second=0.9 * i)["timestamp"]
    a, b = trace_features(trace), trace_features(slow)
    for name in ("avg_duration", "std_duration", "max_delay", "total_duration"):
        assert b[name] == pytest.approx(3 * a[name])
    assert b["duration_variation"] == pytest.approx(a["duration_variation"])
    assert b["execution_rate"] == pytest.approx(a["execution_rate"] / 3)


def test_a_table_of_traces_and_nothing_is_changed():
    traces = [example(k) for k in range(3)]
    before = json.dumps(traces)
    table = trace_table(iter(traces))
    assert table.shape == (3, 51)
    assert table.dtype == np.float64
    assert table[1].tolist() == list(trace_features(traces[1]).values())
    assert json.dumps(traces) == before
    assert len({tuple(row) for row in table}) == 3
    assert trace_table([]).shape == (0, 51)


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ([], "trace is of type list; expected a JSON object"),
        ({}, r"trace\['steps'\] is absent; expected a list"),
        ({"steps": "x"}, r"trace\['steps'\] is of type str"),
        ({"steps": [3]}, r"trace\['steps'\]\[0\] is of type int"),
        ({"steps": [step(tool=None)]}, r"\['tool'\] is None; expected a name"),
        ({"steps": [step(tool={"id": 1})]}, r"\['tool'\] is None"),
        ({"steps": [step(), step(duration="5")]}, r"\[1\]\['duration_ms'\] is '5'; expected milli"),
        ({"steps": [step(duration=float("nan"))]}, "duration_ms.* is nan"),
        ({"steps": [step(duration=-1)]}, "duration_ms.* is -1"),
        ({"steps": [step(duration=True)]}, "duration_ms.* is True"),
        ({"steps": [{"tool": "a", "duration_ms": 1}]}, "timestamp.* is absent"),
        ({"steps": [step() | {"timestamp": "noon"}]}, "timestamp.* is 'noon'; expected an ISO"),
        ({"steps": [step()], "total_duration_ms": "long"}, "total_duration_ms.* is 'long'"),
    ],
)
def test_malformed_traces_are_refused(trace, message):
    with pytest.raises(InputError, match=message):
        trace_features(trace)


def test_the_message_says_which_trace():
    with pytest.raises(InputError, match=r"traces\[1\]\['steps'\] is absent"):
        trace_table([{"steps": []}, {}])
    with pytest.raises(InputError, match="key_order is 'none'"):
        trace_table([{"steps": []}], key_order="none")


def test_deep_nesting_is_refused():
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": deep}
    for key_order in ("sorted", "as given"):
        with pytest.raises(InputError, match="nested too deeply"):
            trace_features({"steps": [step(data_in=deep)]}, key_order=key_order)
    # Taken apart by hand: freeing it whole would recurse as well.
    while deep:
        deep = deep.pop("a")
