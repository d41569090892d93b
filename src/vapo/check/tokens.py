"""Tokens that matter by themselves: the tags of the thinking part, those that are never sampled, the answers."""

from __future__ import annotations

from typing import Any

from vapo.check.section import Section
from vapo.core.grading import ends_in_open_thinking
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.questions import ClaimQuestions
from vapo.models.think_tags import AUTO, TEXT, THINK_TAGS, check_think_tags, read_think_tags


def look_at_tokens(options: Any, config: Any, processor: Any, given: str, rendered: str, *, asks: bool) -> Section:
    """Return what is known of them.

    Args:
        options: of the run (`vapo.training.options.RunOptions`), with `think_tags` decided.
        config: of the model.
        processor: of the model, whose tokenizer has its tags as the run will have them.
        given: `think_tags` as it was given.
        rendered: a prompt.
        asks: whether claims are asked.

    Raises:
        ModelError: the tokenizer hides a tag, or has no token for an answer.
    """
    training, tokenizer = options.training, processor.tokenizer
    tags, warnings = read_think_tags(training.think_tags), list[str]()
    formats = training.format_weight > 0 and not training.reward_funcs
    if formats:
        check_think_tags(tokenizer, tags)
    added = [tag for tag in tags if tag in tokenizer.get_added_vocab()]
    how = "as tokens" if added else "as plain text"
    decided = (
        f", as the checkpoint says ({training.think_tags})" if given == AUTO and training.think_tags != AUTO else ""
    )
    if added and training.think_tags == AUTO:
        warnings.append("whether the tokens of the tags are trained cannot be told without weights")
    opened = ends_in_open_thinking(rendered, tags)
    named = "opened" if opened else "named" if any(tag in rendered for tag in tags) else "not named"
    never = tokenizer.convert_ids_to_tokens(list(find_vision_token_ids(config, processor)))
    facts = {
        "think tags": f"{' '.join(tags)}, {how}{decided}; {named} in the prompt",
        "never sampled": " ".join(map(str, never)) or "none",
    }
    numbers: dict[str, Any] = {"think_tags": tags, "written": TEXT if not added else "tokenizer", "opened": opened}
    numbers |= {"is_usual": tags == THINK_TAGS, "never_sampled": never}
    if asks:
        answers = ClaimQuestions(tokenizer, training.probe_template).answer_tokens
        sides = {"yes": answers.yes, "no": answers.no}
        spelled = {name: [repr(tokenizer.decode([token])) for token in ids] for name, ids in sides.items()}
        facts["answers"] = "; ".join(f"{name}: {' '.join(words)}" for name, words in spelled.items())
        numbers["answers"] = spelled
    return Section("tokens", facts, numbers, warnings=warnings)
