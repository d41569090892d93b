"""What is compared: GRPO and ways to do VAPO, each a handful of options of `vapo train`.

All arms start from the same checkpoint and make the same rollouts per step; everything that an arm does not name is
the paper's setting, or the lab's (`scale.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Data = Literal["questions", "questions and claims"]
Options = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Attributes:
        name: of its folder.
        title: in tables.
        options: of `vapo train`; None takes one of the lab's out.
        data: what is trained on; "questions and claims" asks claims as questions of their own, with answers yes or no.
        is_trained: whether it is trained at all.
    """

    name: str
    title: str
    options: Options = field(default_factory=dict)
    data: Data = "questions"
    is_trained: bool = True


START = Arm("start", "before training", is_trained=False)
GRPO = Arm("grpo", "GRPO", {"algorithm": "grpo"})
VAPO = Arm("vapo", "VAPO, as in the paper")
_LESS_NOISY: Options = {"verdict": "soft", "anchor_sharing": "group", "num_anchors": 8}


def _give_advantage(weight: float) -> Arm:
    options: Options = {**_LESS_NOISY, "perception_credit": "advantage", "perception_weight": weight}
    return Arm(f"vapo-advantage-{weight}", f"VAPO, in the advantage, weight {weight}", options)


_BASE: Options = {"preset": None, "beta": 0.01, "epsilon": 0.2, "epsilon_high": 0.2, "loss_type": "grpo"}


def _name_method(name: str, title: str) -> Arm:
    """Return the arm of a method: its own settings are its defaults, and the rest is that of all arms (`_BASE`)."""
    return Arm(name.replace("_", "-"), title, {**_BASE, "algorithm": name})


ATTENTION = _name_method("attention_reward", "attention reward")


def _weigh_tokens(weight: float, title: str) -> Arm:
    credit = _give_advantage(weight).options
    return Arm(f"vapo-tokens-{weight}", title, {**credit, "algorithm": "vapo_tokens"})


COMPARED = (
    GRPO,
    VAPO,
    Arm("vapo-soft", "VAPO, soft verdicts, shared draws", _LESS_NOISY),
    _give_advantage(0.3),
    _give_advantage(0.5),
    _give_advantage(1.0),
    Arm("vapo-mixed", "VAPO, mixed groups only", {"dynamic_sampling": "accuracy"}),
)
"""The arms of `python -m studies compare`; all others are set against the first. Where perception is given in the
advantage, verdicts are soft and draws are shared, too."""

METHODS = (
    GRPO,
    VAPO,
    _give_advantage(0.5),
    _weigh_tokens(0.0, "VAPO, tokens weighed by verdicts alone"),
    _weigh_tokens(0.5, "VAPO, in the advantage, and tokens weighed"),
    _name_method("papo", "PAPO"),
    _name_method("vppo", "VPPO"),
    _name_method("pgpo", "PGPO"),
    _name_method("vgpo", "VGPO"),
    _name_method("noisy_rollout", "NoisyRollout"),
    ATTENTION,
)
"""The arms of `python -m studies methods`: methods by the settings of their papers on one and the same base, which is
the preset "paper" of VAPO."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """One setting varied: its values in order, the arm that has each, and what the paper measured there.

    Attributes:
        key: word for it on the command line.
        name: the setting.
        arms: by value, as tables show it.
        paper: the paper's mean accuracy over ten benchmarks, in percent, by value; empty where it gives none.
        source: where in the paper.
    """

    key: str
    name: str
    arms: Mapping[str, Arm]
    paper: Mapping[str, float]
    source: str


def _vary(option: str, values: tuple[str | int | float, ...]) -> dict[str, Arm]:
    """Return an arm for each value; the one that is VAPO's own is VAPO, and is trained once."""
    arms: dict[str, Arm] = {}
    for value in values:
        own = value == DEFAULTS[option]
        arms[str(value)] = VAPO if own else Arm(f"{option}-{value}", f"{option} {value}", {option: value})
    return arms


DEFAULTS: Options = {
    "num_anchors": 20,
    "late_emphasis": 1.5,
    "perception_weight": 0.1,
    "accuracy_gate": "strict",
    "anchor_placement": "random",
}
"""VAPO's own values of what is varied (arXiv 2509.25848, Section 5)."""

ABLATIONS = (
    Ablation(
        "K",
        "K, probes per response",
        _vary("num_anchors", (0, 2, 5, 10, 20)),
        {"0": 51.5, "5": 53.8, "10": 55.1, "20": 55.9},
        "full data",
    ),
    Ablation(
        "beta",
        "beta, late emphasis",
        _vary("late_emphasis", (0.0, 1.5, 2.5)),
        {"0.0": 53.8, "1.5": 55.9, "2.5": 54.7},
        "full data",
    ),
    Ablation(
        "gamma",
        "gamma, perception weight",
        _vary("perception_weight", (0.05, 0.1, 0.3, 1.0)),
        {"0.05": 51.7, "0.1": 52.5},
        "5,000 examples",
    ),
    Ablation(
        "gate", "accuracy gate", _vary("accuracy_gate", ("strict", "none")), {}, "the paper relaxes it: 52.5 to 52.3"
    ),
    Ablation(
        "placement",
        "placement of anchors",
        _vary("anchor_placement", ("random", "back", "uniform", "front")),
        {"random": 52.5, "back": 52.4, "uniform": 52.1, "front": 51.8},
        "5,000 examples",
    ),
    Ablation(
        "paid-for",
        "what is paid for",
        {
            "nothing (GRPO)": GRPO,
            "probes": VAPO,
            "probes, K = 5": _vary("num_anchors", (5,))["5"],
            "answers to claims, 5 an image": Arm(
                "claims-as-data", "GRPO on questions and claims", {"algorithm": "grpo"}, data="questions and claims"
            ),
            "attention on the image": ATTENTION,
        },
        {"nothing (GRPO)": 51.5, "probes": 56.0, "attention on the image": 51.8},
        "full data; with 5,000 examples and K = 5, probes 51.0 and claims as data 49.3",
    ),
)
"""What `python -m studies ablate` varies, one setting at a time around VAPO."""


def list_arms(ablations: Sequence[Ablation] = ABLATIONS) -> list[Arm]:
    """Return every arm of some ablations once, GRPO and VAPO first."""
    arms = {arm.name: arm for arm in (GRPO, VAPO)}
    arms |= {arm.name: arm for ablation in ablations for arm in ablation.arms.values()}
    return list(arms.values())
