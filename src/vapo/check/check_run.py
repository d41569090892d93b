"""A run looked through before it takes its GPUs: with its own model, data and options, as far as this machine can."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vapo.check.data import look_at_data
from vapo.check.engines import look_at_engines
from vapo.check.memory import look_at_memory
from vapo.check.paths import look_at_outline, look_at_paths
from vapo.check.probes import look_at_probes
from vapo.check.prompt import look_at_prompt
from vapo.check.responses import look_at_responses
from vapo.check.section import Section, attempt
from vapo.check.tokens import look_at_tokens
from vapo.check.versions import look_at_versions
from vapo.data.samples import Samples
from vapo.errors import ModelError
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import Policy, check_checkpoint, load_policy, load_processor, read_config
from vapo.models.policy.generation import find_eos_token_ids
from vapo.models.think_tags import AUTO, TOKENIZER, adopt_think_tags
from vapo.planning.gpus import Gpus
from vapo.planning.model_shape import read_model_shape
from vapo.planning.plan import describe_loading
from vapo.training.options import RunOptions
from vapo.training.planned_run import ParsedRun
from vapo.training.preparation import NEEDED_PACKAGES, prepare_run
from vapo.training.run import load_split
from vapo.training.trial import Trial, try_run


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How much is looked at.

    Attributes:
        rows: of the data, from the first.
        num_prompts: that are answered, each as often as in the run.
        max_completion_tokens: longest response, if the run's own are not shorter.
        gpus: to plan for; None for those of this machine.
        has_weights: whether the model is loaded; else its outline is built of its configuration.
        device, dtype: of the model, as in `load_policy`.
    """

    rows: int = 200
    num_prompts: int = 4
    max_completion_tokens: int = 512
    gpus: Gpus | None = None
    has_weights: bool = True
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class _SetUp:
    """The parts of a run's model that are read without its weights; the tokenizer writes tags as the run's will."""

    config: Any
    processor: Any
    escape: Callable[[str], str]


def check_run(
    parsed: ParsedRun, how: CheckOptions, list_verl_obstacles: Callable[[RunOptions], Sequence[str]]
) -> list[Section]:
    """Look at everything, and return what was found; what would stop the run is among the problems.

    Args:
        parsed: the run, its model and data resolved.
        how: how much to look at.
        list_verl_obstacles: says why a run cannot go to verl.
    """
    options = _leave_out_missing_packages(parsed.options)
    training: Any = options.training
    tags = str(training.think_tags)
    sections = [_describe(options), look_at_versions(parsed.options)]
    parts = attempt("set-up", lambda: _set_up(options, has_weights=how.has_weights))
    if isinstance(parts, Section):
        return [*sections, parts]
    config, processor, escape = parts.config, parts.processor, parts.escape
    asks = training.make_algorithm().needs.claims
    needs_claims = asks and training.rows_without_claims == "error"
    rows = how.rows if options.data.limit is None else min(how.rows, options.data.limit)
    shortened = replace(options, data=replace(options.data, limit=rows))
    data = attempt("data", lambda: look_at_data(shortened, processor, escape, needs_claims=needs_claims))
    sections.append(data)
    if not data.numbers.get("good_rows"):
        return [*sections, Section("the rest", warnings=["it was not looked at, because no row can be used"])]
    good = replace(shortened, data=replace(shortened.data, on_bad_row="skip"))
    samples = attempt("prompt", lambda: load_split(good, options.data.split, require_claims=needs_claims))
    if isinstance(samples, Section):
        return [*sections, samples]
    longest = int(data.numbers["prompt_tokens"]["greatest"])
    prompt = attempt("prompt", lambda: look_at_prompt(options, config, processor, escape, samples[0], longest))
    rendered = str(prompt.numbers.get("rendered", ""))
    sections += [
        prompt,
        attempt("tokens", lambda: look_at_tokens(options, config, processor, tags, rendered, asks=asks)),
    ]
    if how.has_weights:
        sections += _look_at_model(options, samples, how, processor)
    else:
        sections.append(attempt("outline", lambda: _look_without_weights(options)))
    return [
        *sections,
        attempt("memory", lambda: look_at_memory(options, how.gpus, longest=longest, given=parsed.given)),
        attempt("engines", lambda: look_at_engines(options, config, list_verl_obstacles(options))),
    ]


def _set_up(options: RunOptions, *, has_weights: bool) -> _SetUp:
    training: Any = options.training
    if has_weights:
        try:
            check_checkpoint(options.model_name)
        except ModelError as error:
            raise ModelError(f"{error}; --offline-model looks at all that needs no weights") from error
    undecided = not has_weights and training.think_tags == AUTO
    training.think_tags = TOKENIZER if undecided else training.think_tags
    prepare_run(options)
    config = read_config(options.model_name, training.trust_remote_code)
    processor: Any = load_processor(options.model_name, training.trust_remote_code, options.model.model_revision)
    adopt_think_tags(training.think_tags, processor.tokenizer)
    training.think_tags = AUTO if undecided else training.think_tags
    return _SetUp(config, processor, make_escaper(processor))


def _look_at_model(options: RunOptions, samples: Samples, how: CheckOptions, processor: Any) -> list[Section]:
    training: Any = options.training
    tried = attempt("paths", lambda: _try(options, samples, how, processor))
    if isinstance(tried, Section):
        return [tried]
    policy, trial = tried
    longest = min(how.max_completion_tokens, training.max_completion_length)
    eos_ids = find_eos_token_ids(policy)
    found = [
        attempt("paths", lambda: look_at_paths(options, policy, trial)),
        attempt("responses", lambda: look_at_responses(options, trial, eos_ids, max_tokens=longest)),
    ]
    if trial.prober is not None:
        found.append(attempt("probes", lambda: look_at_probes(options, policy, trial)))
    return found


def _try(options: RunOptions, samples: Samples, how: CheckOptions, processor: Any) -> tuple[Policy, Trial]:
    policy = load_policy(
        options.model_name,
        device=how.device,
        dtype=how.dtype,
        trust_remote_code=options.training.trust_remote_code,
        processor=processor,
        think_tags=options.training.think_tags,
    )
    size = {"num_prompts": how.num_prompts, "max_completion_tokens": how.max_completion_tokens}
    with tempfile.TemporaryDirectory() as folder:
        return policy, try_run(options, policy, samples, **size, folder=Path(folder))


def _look_without_weights(options: RunOptions) -> Section:
    shape = read_model_shape(describe_loading(options))
    return look_at_outline(options, shape.model, shape.num_parameters)


def _describe(options: RunOptions) -> Section:
    training: Any = options.training
    facts = {
        "model": options.model_name,
        "data": f"{options.source}, {options.data.split}",
        "method": f"{training.algorithm}, {training.num_generations} responses to a prompt, up to "
        f"{training.max_completion_length} tokens",
    }
    return Section("run", facts, dict(facts))


def _leave_out_missing_packages(options: RunOptions) -> RunOptions:
    """Return options without what needs a package that is not here, which is told with the versions."""
    model: Any = replace(options.model)
    for option, package, _ in NEEDED_PACKAGES:
        if getattr(model, option) and find_spec(package) is None:
            setattr(model, option, False)
    return replace(options, model=model)
