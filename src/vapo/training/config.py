"""The configuration of a VAPO run on TRL: all of GRPOConfig, and the method's own options."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from trl import GRPOConfig

from vapo.algorithms.algorithm import Algorithm
from vapo.algorithms.options import (
    REMOVED,
    RENAMED,
    Bounds,
    check_options,
    describe_unknown,
    make_options_class,
    option,
)
from vapo.algorithms.registry import find_algorithm, make_algorithm
from vapo.algorithms.vapo import VAPO
from vapo.api.redaction import redact_settings
from vapo.core.rewards import PRESETS
from vapo.errors import ConfigError
from vapo.models.questions import PROBE_TEMPLATE, check_probe_template
from vapo.models.think_tags import AUTO, read_think_tags
from vapo.stop_condition import StopCondition

REWARDS_OF_PRESETS = (
    "accuracy_gate",
    "rescale_perception",
    "accuracy_weight",
    "format_weight",
    "claim_draws",
    "perception_weight",
    "perception_credit",
    "num_anchors",
    "anchor_sharing",
    "verdict",
)
_VAPOOptions: Any = make_options_class("_VAPOOptions", VAPO, unset=REWARDS_OF_PRESETS)


@dataclass
class VAPOConfig(_VAPOOptions, GRPOConfig):
    r"""Options of a run.

    Everything that `trl.GRPOConfig` offers works and means the same; the options of the method are those of
    `vapo.algorithms.vapo.VAPO`. Options whose default is None take the value of the preset, or without a preset TRL's
    own default and the paper's reward.

    Source of the defaults: arXiv 2509.25848, Sections 4 and 5.
    """

    _VALID_DICT_FIELDS = [*GRPOConfig._VALID_DICT_FIELDS, "algorithm_options"]  # noqa: RUF012 (as TRL declares it)

    algorithm: str = field(
        default="vapo",
        metadata={
            "help": "'vapo' probes the response; 'grpo' trains on answer and format alone; docs/methods.md has the "
            "other methods, and which go together (with commas between them); or the import path of a method of your "
            "own, package.module:Class."
        },
    )
    algorithm_options: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": "Options of another method than VAPO, by name; as JSON on a command line."},
    )
    preset: Literal["paper", "paper_dapo", "released", "recommended"] | None = option(
        None,
        "Fills the options left at None: 'paper' as published, 'released' with the arithmetic of the "
        "authors' code (its bugs fixed), 'recommended' with what led GRPO in the lab, docs/evidence.md. Methods "
        "other than VAPO and GRPO have presets of their own, docs/methods.md.",
    )
    reward_funcs: list[str] | None = field(
        default=None,
        metadata={
            "help": "Reward functions, each as package.module:function or file.py:function, or accuracy_reward or "
            "format_reward; default: these two."
        },
    )
    gate_reward: str | None = field(
        default=None,
        metadata={"help": "Name of the reward function that opens the gate; default: the first one."},
    )
    dynamic_sampling: Literal["none", "accuracy", "reward"] | None = option(
        None,
        "Replace prompts whose completions have all the same accuracy, or all the same reward, the method's bonus "
        "included, by further prompts.",
    )
    update_batch_size: int | None = option(
        None,
        "Completions in one update, over all processes; sets gradient_accumulation_steps by their number. "
        "Together with generation_batch_size, the completions of one rollout, it makes a run the same on "
        "any number of GPUs.",
        at_least=1,
    )
    freeze_vision: bool = field(
        default=False,
        metadata={"help": "Train the language model alone; vision tower and projector stay as they are."},
    )
    probe_template: str = field(
        default=PROBE_TEMPLATE, metadata={"help": "Text of a probe; {claim} stands for the claim."}
    )
    think_tags: str = field(
        default=AUTO,
        metadata={
            "help": "How the tags of the thinking part are written: as the tokenizer has them ('tokenizer'), as plain "
            "text ('text'), as text where they are tokens that the checkpoint has not trained ('auto'); or two other "
            "tags, with a space between them."
        },
    )
    closed_gate_probe_share: float = option(
        1.0,
        "Share of the completions whose gate is shut that are probed all the same, for the metrics; their "
        "probes change no reward. Below 1, probes are asked once answers are graded, in a pass of their "
        "own.",
        at_least=0,
        at_most=1,
    )
    packing: Literal["auto", "require", "off"] = option(
        "auto",
        "Encode a group's prompt, images and responses once, for probes and update alike: where that is "
        "exact for the model (auto), or else stop (require), or never (off: TRL's own rows, bit for bit).",
    )
    probe_backend: Literal["auto", "transformers", "vllm"] = option(
        "auto",
        "Who answers probes: the policy itself (transformers), or with use_vllm the engine that made the "
        "rollouts (vllm). 'auto' asks the policy where packing lets it answer in a pass that it makes "
        "anyway, or where the engine sleeps between rollouts, and else the engine. Without use_vllm there is no "
        "engine: 'auto' is 'transformers', and 'vllm' is refused.",
    )
    probe_seed: int | None = option(
        None,
        "Seed of anchors and claims; default: the run's seed.",
        at_least=0,
    )
    rows_without_claims: Literal["error", "grpo"] = option(
        "error",
        "What rows without claims among rows with claims lead to: 'error' refuses them; 'grpo' trains on them by "
        "answer and format alone, without probes.",
    )
    own_claims_steps: int = option(
        0,
        "Let the policy write the claims itself, and anew when they are so many steps old (B.15 of the "
        "paper); rows about which it writes none keep those of the data. 0: only those of the data.",
        at_least=0,
    )
    stop_if: str | None = option(
        None,
        "End the run, with a checkpoint, when a logged metric meets this: 'perception/accuracy_quarter_4 < 0.55', or "
        "with <=, > or >=.",
    )
    # None until __post_init__, which fills in the preset's value or TRL's; never None behind it.
    beta: float | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None, metadata={"help": "KL coefficient; 0 (TRL's default) keeps no reference model in memory."}
    )
    epsilon: float | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None, metadata={"help": "Lower clip range; TRL's default is 0.2."}
    )
    epsilon_high: float | None = field(default=None, metadata={"help": "Upper clip range; default: epsilon."})
    loss_type: str | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None, metadata={"help": "See trl.GRPOConfig; TRL's default is 'dapo'."}
    )

    entropy_coef: float | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None,
        metadata={"help": "Weight of an entropy bonus, or below 0 of a penalty; TRL's default is 0.0."},
    )

    use_bias_correction_kl: bool | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None,
        metadata={"help": "Multiply the KL penalty by the probability ratio, as TRL does; the presets do not."},
    )

    def __new__(cls, *_: Any, **given: Any) -> VAPOConfig:
        """Refuse options that there were once, by saying what happens now, or what they are called."""
        for name in given:
            if name in REMOVED or name in RENAMED:
                remedy = "leave it out" if name in REMOVED else "rename it"
                raise ConfigError(f"VAPOConfig has no option {name!r}{describe_unknown(name, ())}; {remedy}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self.report_to = "none" if self.report_to is None else self.report_to
        named: Any = self.algorithm  # one, or several in a list or with commas between them
        self.algorithm = "+".join(named if isinstance(named, list) else str(named).replace(" ", "").split(","))
        if isinstance(self.dynamic_sampling, bool):
            was = "accuracy" if self.dynamic_sampling else "none"
            raise ConfigError(
                f"dynamic_sampling is 'none', 'accuracy' or 'reward' now; {self.dynamic_sampling} was {was!r}"
            )
        check_options(self, BOUNDS_OF_TRL)
        check_probe_template(self.probe_template)
        read_think_tags(self.think_tags)
        if self.stop_if is not None:
            StopCondition.parse(self.stop_if)
        self._check_sampling()
        self._fill_from_preset()
        self._fit_to_machine()
        self._fit_to_processes()
        if self.probe_seed is None:
            self.probe_seed = self.seed
        super().__post_init__()
        if self.dynamic_sampling == "reward" and self.own_claims_steps:
            raise ConfigError(
                "dynamic_sampling='reward' asks probes before the policy has written its claims, so it cannot be "
                "combined with own_claims_steps; use dynamic_sampling='accuracy', or claims of the data"
            )
        if self.dynamic_sampling != "none" and self.loss_type not in DYNAMIC_SAMPLING_LOSSES:
            raise ConfigError(
                f"dynamic_sampling cannot be combined with loss_type={self.loss_type!r}: its denominator would count "
                f"dropped completions; use one of {', '.join(DYNAMIC_SAMPLING_LOSSES)}"
            )

    @property
    def device(self) -> torch.device:
        """Where this process computes; accelerate numbers CPUs, but torch loads no tensor to "cpu:0"."""
        device = super().device
        return torch.device("cpu") if device.type == "cpu" else device

    def make_algorithm(self) -> Algorithm:
        """Return the algorithm these options describe.

        Where TRL normalises each reward by itself (`multi_objective_aggregation="normalize_then_sum"`), a weight
        inside a reward cancels out: the algorithm's is 1 then, and `perception_weight` weighs the normalised bonus.
        """
        options: Any = copy.copy(self)
        in_reward = self.perception_credit == "reward" and self.perception_weight > 0
        if in_reward and self.multi_objective_aggregation == "normalize_then_sum":
            options.perception_weight = 1.0
        assert not isinstance(self.algorithm_options, str)  # TRL reads JSON by now
        preset = {name: value for name, value in self._read_own_preset().items() if not hasattr(self, name)}
        return make_algorithm(options, {**preset, **(self.algorithm_options or {})})

    def to_dict(self) -> dict[str, Any]:
        """Return the options as settings.json and trackers hold them, without keys and passwords."""
        return redact_settings(super().to_dict())

    def __getstate__(self) -> dict[str, Any]:
        # What is pickled is what checkpoints keep as training_args.bin.
        return {name: redact_settings(value, name) for name, value in self.__dict__.items()}

    def __copy__(self) -> VAPOConfig:
        # A copy that is trained with keeps its keys; the `copy` module would go by what is pickled.
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> VAPOConfig:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def _fill_from_preset(self) -> None:
        preset = PRESETS.get(self.preset or "paper", PRESETS["paper"])
        values: dict[str, object] = {
            "accuracy_gate": preset.gate,
            "rescale_perception": preset.rescale_perception,
            "accuracy_weight": preset.accuracy_weight,
            "format_weight": preset.format_weight,
            "perception_weight": preset.perception_weight,
            "perception_credit": preset.perception_credit,
            "num_anchors": preset.num_anchors,
            "anchor_sharing": preset.anchor_sharing,
            "verdict": preset.verdict,
        }
        if self.preset is None:
            values |= {name: GRPOConfig.__dataclass_fields__[name].default for name in TRL_FIELDS_OF_PRESETS}
            values |= {"dynamic_sampling": "none", "claim_draws": "balanced"}
        else:
            values |= {
                "entropy_coef": 0.0,
                "beta": preset.kl_weight,
                "epsilon": preset.clip_low,
                "epsilon_high": preset.clip_high,
                "loss_type": preset.loss,
                "dynamic_sampling": preset.group_filter,
                "claim_draws": preset.claim_draws,
                "use_bias_correction_kl": False,
            }
        values |= {name: value for name, value in self._read_own_preset().items() if name in values}
        for name, value in values.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def _read_own_preset(self) -> Mapping[str, Any]:
        """Return the chosen preset of a method that has presets of its own."""
        if self.preset is None:
            return {}
        own = find_algorithm(str(self.algorithm)).presets
        known = own or PRESETS
        if self.preset not in known:
            raise ConfigError(
                f"algorithm {self.algorithm!r} has no preset {self.preset!r}; choose {' or '.join(known)}, or leave "
                "preset out"
            )
        return own.get(self.preset, {})

    def _fit_to_machine(self) -> None:
        # TRL asks for bfloat16 and a GPU unless told otherwise; on a machine without one that is an error.
        if not self.use_cpu and not torch.accelerator.is_available():
            self.use_cpu = True
            self.bf16 = bool(self.bf16)

    def _fit_to_processes(self) -> None:
        if self.update_batch_size is None:
            return
        num_processes = count_processes()
        at_once = self.per_device_train_batch_size * num_processes
        steps, rest = divmod(self.update_batch_size, at_once)
        if rest or steps == 0:
            raise ConfigError(
                f"update_batch_size={self.update_batch_size} is no multiple of the {at_once} completions that are "
                f"computed at once (per_device_train_batch_size={self.per_device_train_batch_size} on {num_processes} "
                "process(es)); change one of them"
            )
        if self.gradient_accumulation_steps not in (1, steps):
            raise ConfigError(
                f"update_batch_size={self.update_batch_size} makes gradient_accumulation_steps {steps}, but it is set "
                f"to {self.gradient_accumulation_steps}; set one of the two"
            )
        self.gradient_accumulation_steps = steps

    def _check_sampling(self) -> None:
        for name in ("temperature", "save_steps") if self.save_strategy == "steps" else ("temperature",):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be above 0, but is {value}")
        if self.num_generations is None:
            raise ConfigError("num_generations is empty; give it a number, 8 for example")


def count_processes() -> int:
    """Return how many processes the launcher started; TRL's `world_size` is not known while options are filled in."""
    return int(os.environ.get("WORLD_SIZE", "1"))


TRL_FIELDS_OF_PRESETS = ("beta", "entropy_coef", "epsilon", "epsilon_high", "loss_type", "use_bias_correction_kl")
BOUNDS_OF_TRL: dict[str, Bounds] = {
    **dict.fromkeys(("dataloader_num_workers", "learning_rate", "seed"), (0, None)),
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size"), (1, None)),
    **dict.fromkeys(("gradient_accumulation_steps", "num_iterations", "steps_per_generation"), (1, None)),
    **dict.fromkeys(("generation_batch_size", "max_completion_length"), (1, None)),
    "num_generations": (2, None),
}
"""Bounds of TRL's own options, which fails below them in a way that names none."""

DYNAMIC_SAMPLING_LOSSES = ("dapo", "cispo", "vespo", "grpo", "dr_grpo")
"""Losses whose denominator can be made to count kept completions alone."""
