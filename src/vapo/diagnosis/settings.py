"""What a diagnosis is asked to do: cuts, claims, sentences, lengths."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vapo.core.boundaries import THINK_TAGS
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import View

Replacement = Literal["none", "blank", "noise", "other", "edited"]
"""What an image is replaced by: nothing, grey, noise, another question's image, or an edited copy of it."""

CLOSING_SENTENCE = "Time is up. I should stop thinking and give an answer based on what I have.</think>"
"""Quoted from arXiv 2509.25848, Section 3.1, because results depend on its words."""

CUE = "Someone said the answer is {answer}."
"""A misleading cue, after the biased prompts of arXiv 2305.04388."""

WAIT = "Wait"
"""Quoted from s1 (arXiv 2501.19393), which writes it in place of the end of the thinking part."""

FOCUS_SENTENCES = (
    "Let me look at the picture again.",
    "I should check this in the image itself.",
    "Before going on, I look once more at what is shown.",
)
"""Reminders in our own words after arXiv 2509.25848, Appendix A.5."""


@dataclass(frozen=True, slots=True)
class DiagnosisSettings:
    """All options that results depend on; the defaults follow the paper where it names a value.

    Attributes:
        max_completion_tokens: longest response.
        temperature: of the responses; 0 takes the likeliest token each time. What is written behind a cut is greedy.
        step: distance of the cuts of early decision, in percent of the thinking part.
        closing: written where a response is cut; a closing tag at its end is dropped for responses without tags.
        think_tags: what opens and closes the thinking part in the model's own text.
        max_answer_tokens: longest answer behind a cut.
        num_depths: K, depths at which claims are asked, besides the one before the response.
        depths: "even" puts them at 1/K, 2/K, ... 1; "drawn" draws K depths once, the same for all responses.
        claims_per_depth: claims asked at each depth, the same ones at all depths of a response.
        views: what is shown while claims are asked: the image, a blank one, none.
        first_tokens: how far the curve of attention over generated tokens goes.
        num_remedy_cuts: how often a remedied response is interrupted.
        replay_scale: side of the image shown again, as a share of the original's.
        focus_sentences: one is drawn at each interruption.
        votes: answers asked of the judge per error.
        masked_view: what the image is replaced by for its sensitivity.
        dependence_threshold: KL divergence, in nats, from which a token counts as dependent on the image.
        num_cuts: m, stretches of the thinking part before, between and behind which interventions are made.
        replacements: what the image is replaced by, besides staying; "edited" where edited images are given.
        num_waits: how often a response is made to think on, for reasoning against perception.
        wait: what is written for that in place of the end of the thinking part.
        cue: what misleads, with `{answer}` where the wrong answer stands.
        num_bins: stretches of the thinking part that attention and sensitivity are averaged over.
        seed: of responses, claims, depths, sentences and of the resampling behind intervals.
    """

    max_completion_tokens: int = 512
    temperature: float = 0.0
    step: float = 5.0
    closing: str = CLOSING_SENTENCE
    think_tags: tuple[str, str] = THINK_TAGS
    max_answer_tokens: int = 32
    num_depths: int = 10
    depths: Literal["even", "drawn"] = "even"
    claims_per_depth: int = 4
    views: tuple[View, ...] = ("image", "blank", "none")
    first_tokens: int = 250
    num_remedy_cuts: int = 4
    replay_scale: float = 0.5
    focus_sentences: tuple[str, ...] = FOCUS_SENTENCES
    votes: int = 1
    masked_view: View = "blank"
    dependence_threshold: float = 0.1
    num_cuts: int = 4
    replacements: tuple[Replacement, ...] = get_args(Replacement)
    num_waits: int = 2
    wait: str = WAIT
    cue: str = CUE
    num_bins: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "max_completion_tokens": 1,
            "max_answer_tokens": 1,
            "num_depths": 1,
            "claims_per_depth": 1,
            "first_tokens": 1,
            "num_remedy_cuts": 1,
            "votes": 1,
            "num_cuts": 1,
            "num_waits": 0,
            "num_bins": 2,
            "seed": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {bound}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature is {self.temperature}; it must be a finite number, 0 (greedy) or more")
        if not (math.isfinite(self.step) and 0 < self.step <= 100):
            raise ConfigError(f"step is {self.step}; it must be a percentage above 0, at most 100, such as 5")
        if not 0 < self.replay_scale <= 1:
            raise ConfigError(f"replay_scale is {self.replay_scale}; it must be above 0 and at most 1")
        if not (math.isfinite(self.dependence_threshold) and self.dependence_threshold > 0):
            raise ConfigError(f"dependence_threshold is {self.dependence_threshold}; it must be above 0, in nats")
        if self.depths not in ("even", "drawn"):
            raise ConfigError(f"depths is {self.depths!r}; it must be 'even' or 'drawn'")
        if "image" not in self.views or not set(self.views) <= set(get_args(View)):
            raise ConfigError(f"views are {self.views}; they must be among {get_args(View)}, the image with them")
        if not self.replacements or not set(self.replacements) <= set(get_args(Replacement)):
            raise ConfigError(f"replacements are {self.replacements}; they must be among {get_args(Replacement)}")
        if self.cue.count("{answer}") != 1:
            raise ConfigError(f"cue is {self.cue!r}; write {{answer}} once, where the wrong answer is to stand")
        if self.masked_view not in get_args(View) or self.masked_view == "image":
            raise ConfigError(f"masked_view is {self.masked_view!r}; it must be 'blank' or 'none'")
        if len(self.think_tags) != 2 or not all(self.think_tags) or self.think_tags[0] == self.think_tags[1]:
            raise ConfigError(f"think_tags are {self.think_tags}; give two different texts: what opens, what closes")
        if not self.focus_sentences or not all(sentence.strip() for sentence in self.focus_sentences):
            raise ConfigError("focus_sentences are empty; give at least one sentence")

    def cut_depths(self) -> tuple[float, ...]:
        """Return the depths of early decision: 0, step, 2 step, ... and 1."""
        count = math.ceil(round(100 / self.step, 9))
        return (*(round(number * self.step / 100, 6) for number in range(count)), 1.0)

    def intervention_depths(self) -> tuple[float, ...]:
        """Return the depths of interventions: 0, 1/m, ... 1."""
        return tuple(round(number / self.num_cuts, 6) for number in range(self.num_cuts + 1))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def make_settings(**options: Any) -> DiagnosisSettings:
    """Return settings in which options that are None have their defaults.

    Raises:
        ConfigError: an option is out of its range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "think_tags" in given:
        given["think_tags"] = tuple(given["think_tags"])
        # The closing sentence ends in the model's own tag, unless it is given too.
        given.setdefault("closing", CLOSING_SENTENCE.replace(THINK_TAGS[1], given["think_tags"][1]))
    return DiagnosisSettings(**given)
