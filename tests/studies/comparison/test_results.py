"""Numbers of runs and differences between arms, worked by hand on a few responses."""

import math
from dataclasses import replace

import pyarrow
import pytest

from studies.__main__ import build_parser
from studies.comparison.arms import ABLATIONS, COMPARED, GRPO, START, VAPO, list_arms
from studies.comparison.looks import pay_luck, sort_late
from studies.comparison.measuring import ProbeRow, ResponseRow
from studies.comparison.results import (
    ACCURACY,
    BLIND,
    EARLY_RIGHT,
    LAST_QUARTER,
    LATE_RIGHT,
    LOOKING,
    MEASURES,
    PERCEPTION,
    QUARTERS,
    READINGS,
    TOKENS,
    Interval,
    average,
    compare,
    summarise_run,
)
from studies.comparison.rows import join_runs, read_responses, write_responses, write_table
from studies.comparison.tables import (
    judge_agreement,
    write_ablations,
    write_comparison,
    write_late,
    write_luck,
    write_speed,
    write_steps,
)


def make_response(number=0, *, right=True, kind="read", probes=()):
    return ResponseRow(str(number), kind, "<think>AU3</think>", right, True, 10 + number, 2 * number, tuple(probes))


FIRST_RIGHT = ProbeRow(0.2, "The picture shows AU3.", True, 0.9, 0.4)
LAST_WRONG = ProbeRow(0.9, "The picture shows AU4.", False, 0.8, 0.3)
LAST_RIGHT = ProbeRow(1.0, "The picture shows AU4.", False, 0.1, 0.2)


def test_a_run_in_numbers():
    responses = [
        make_response(0, probes=[FIRST_RIGHT, LAST_WRONG]),
        make_response(1, right=False, kind="path", probes=[LAST_RIGHT]),
    ]
    run = summarise_run(responses)
    assert run[ACCURACY] == 0.5 and run[EARLY_RIGHT] == 1.0 and run[LATE_RIGHT] == 0.0 and run[LOOKING] == 0.0
    assert run[PERCEPTION] == pytest.approx(2 / 3)
    assert run[QUARTERS[0]] == 1.0 and run[LAST_QUARTER] == 0.5
    assert math.isnan(run[QUARTERS[1]]), "nothing was asked there"
    assert run[BLIND] == pytest.approx(2 / 3)  # 0.4 is "no" to a right claim; 0.3 and 0.2 are "no" to wrong ones
    assert run[TOKENS] == 10.5 and run[READINGS] == 1.0


def test_differences_are_paired_by_seed():
    ours = {0: {ACCURACY: 0.5}, 1: {ACCURACY: 0.7}, 2: {ACCURACY: 0.9}}
    theirs = {2: {ACCURACY: 0.8}, 1: {ACCURACY: 0.6}, 0: {ACCURACY: 0.4}}
    difference = compare(ours, theirs, ACCURACY)
    assert difference.mean == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1) and difference.high == pytest.approx(0.1)
    # Unpaired, three values that scatter by 0.2 would tell nothing: 0.7 +- 4.302653 * 0.2 / sqrt(3).
    assert average(ours, ACCURACY).low == pytest.approx(0.7 - 0.496828, abs=1e-5)
    assert average({0: ours[0]}, ACCURACY) == Interval(0.5, None, None)


def test_rows_come_back_as_they_were(tmp_path):
    responses = [make_response(0, probes=[FIRST_RIGHT, LAST_WRONG]), make_response(1, right=False)]
    for arm in ("grpo", "vapo"):
        write_responses(tmp_path / f"{arm}.parquet", responses, arm=arm, seed=3)
    join_runs(tmp_path / "all.parquet", [tmp_path / "grpo.parquet", tmp_path / "vapo.parquet"])
    runs = read_responses(tmp_path / "all.parquet")
    assert list(runs) == [("grpo", 3), ("vapo", 3)]
    assert [response.id for response in runs["vapo", 3]] == ["0", "1"]
    assert summarise_run(runs["grpo", 3]) == pytest.approx(summarise_run(responses), nan_ok=True)


def make_results(arms):
    values = {"grpo": 0.5, "vapo": 0.6}
    return {
        arm.name: {
            seed: dict.fromkeys(MEASURES, values.get(arm.name, 0.55) + 0.001 * seed * seed) for seed in range(3)
        }
        for arm in arms
    }


def test_tables_say_every_measure_of_every_arm():
    table = write_comparison(make_results([START, *COMPARED]), COMPARED)
    assert table.count("\n") == 2 + len(COMPARED) + 1 + 1 + 2 + len(COMPARED) - 1 - 1
    assert "| before training | 55.2 [" in table and "| GRPO | 50.2 [" in table
    less = table.partition("less GRPO")[2]
    assert "| VAPO, as in the paper | +10.0 [+10.0, +10.0] |" in less and "before training" not in less
    assert write_comparison(make_results(COMPARED), COMPARED, [ACCURACY]).count("before training") == 0


def late_rows():
    """Two seeds of one arm: late answers behind looks, behind musings and without a reading, and an early one."""

    def respond(completion, right, kind="over", probes=(FIRST_RIGHT, LAST_RIGHT)):
        return replace(make_response(right=right, kind=kind, probes=probes), completion=completion)

    looked, mused = "Again AU3, so A U? " * 2 + "There AU3, no.", "Well so be, so A U? There AU3, no."
    return {
        ("grpo", 0): [
            respond(looked, True),
            respond(mused, True, probes=(LAST_WRONG,)),
            respond("so 3.", False),
            respond(looked, True, kind="read"),
        ],
        ("grpo", 1): [respond(looked, True), respond(looked, False)],
    }


def test_late_responses_are_sorted_by_the_way_they_go():
    ways = sort_late(late_rows())["grpo"]
    shares = {way: (part.share.mean, part.right.mean) for way, part in ways.items()}
    assert list(shares.values()) == [
        (pytest.approx(1 / 6), 0.0),  # one of three, and none of two
        (pytest.approx(1 / 6), 1.0),
        (pytest.approx((1 / 3 + 1) / 2), 0.75),
    ]
    assert "| GRPO | 16.7 [" in write_late({"grpo": ways}, [GRPO])


def test_luck_is_told_from_sight_by_what_perception_pays():
    by_luck, behind_looks = pay_luck(late_rows())["grpo"]
    assert (by_luck.mean, behind_looks.mean) == (0.0, 1.0)
    assert "| GRPO | 0.0 | 100.0 [" in write_luck(pay_luck(late_rows()), [GRPO])


def test_the_sources_of_the_advantage_are_shown_by_part_of_the_training(tmp_path):
    columns = {"perception_share": [0.1, 0.2, 0.3], "all_right_share": [0.5] * 3, "all_wrong_share": [None] * 3}
    table = {"arm": ["grpo"] * 3, "seed": [0] * 3, **columns, "groups_equal": [0.0, 0.5, 1.0]}
    write_table(tmp_path / "steps.parquet", pyarrow.Table.from_pydict(table))
    assert "| GRPO | 10.0, 20.0, 30.0 | 50.0, 50.0, 50.0 | , ,  | 0.0, 50.0, 100.0 |" in write_steps(
        tmp_path / "steps.parquet", [GRPO]
    )


def test_speed_is_counted_in_steps_to_where_the_first_arm_ends(tmp_path):
    runs = {("grpo", 0): [0.0, 0.2, None, 0.4], ("grpo", 1): [0.1, 0.1, 0.1, 0.1]}
    runs |= {("vapo", 0): [0.2, 0.6, 0.2, 0.6], ("vapo", 1): [0.0, 0.0, 0.0, 0.0]}
    rows = [
        {"arm": arm, "seed": seed, "step": step, "late_right": value}
        for (arm, seed), values in runs.items()
        for step, value in enumerate(values)
    ]
    write_table(tmp_path / "steps.parquet", pyarrow.Table.from_pylist(rows))
    # Means of the last two steps: GRPO ends at 0.4 and 0.1, and is there at the fourth and the second step.
    lines = write_speed(tmp_path / "steps.parquet", [GRPO, VAPO], window=2).splitlines()
    assert lines[2].startswith("| GRPO | 3.0 [") and lines[2].endswith("| 0.75 |")
    assert lines[3].startswith("| VAPO, as in the paper | 3.5 [")  # the second step, and never, which is the fifth


def test_ablations_stand_beside_the_paper():
    arms = list_arms()
    assert arms[0].name == "grpo" and len({arm.name for arm in arms}) == len(arms)
    text = write_ablations(make_results(arms), ABLATIONS)
    assert text.count("agree") >= len(ABLATIONS) and "no figure" in text
    assert "| 20 | 60.2 [" in text


def test_ablations_that_were_not_run_are_left_out():
    by_key = {ablation.key: ablation for ablation in ABLATIONS}
    results = make_results(list_arms([by_key["gamma"], by_key["gate"]]))
    assert write_ablations(results, ABLATIONS) == write_ablations(results, [by_key["gamma"], by_key["gate"]])


def test_every_ablation_can_be_named(capsys):
    for ablation in ABLATIONS:
        assert build_parser().parse_args(["ablate", "--only", ablation.key]).only == [ablation.key]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (Interval(0.1, 0.05, 0.15), 1.0, "agree"),
        (Interval(-0.1, -0.15, -0.05), 1.0, "disagree"),
        (Interval(0.1, -0.05, 0.25), 1.0, "cannot tell"),
        (Interval(0.1, None, None), 1.0, "cannot tell"),
        (Interval(0.1, 0.05, 0.15), None, "no figure"),
    ],
)
def test_agreement_needs_an_interval(ours, theirs, said):
    assert judge_agreement(ours, theirs) == said
