"""Models by name, opened one after the other: what can be refused is refused before the first is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vapo.core.boundaries import THINK_TAGS
from vapo.diagnosis.fingerprint import describe_policy
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.errors import ConfigError
from vapo.models.diagnosed_model import DiagnosedModel
from vapo.models.policy.checkpoint import check_checkpoint, load_policy
from vapo.models.think_tags import TEXT, read_think_tags
from vapo.run_folder import choose_system_prompt, choose_think_tags
from vapo.versions import OWN

if TYPE_CHECKING:
    from vapo.serving.judge.judge import Judge

LAB = "lab"
OPENAI = "https://api.openai.com/v1"


class OpenedModels:
    """Iterate over models as diagnosed models; each is loaded when its turn comes and not kept.

    Attributes:
        settings: by name, what the results of the models opened so far depend on.
    """

    def __init__(self, names: Sequence[str], open_one: Callable[[str], tuple[DiagnosedModel, dict[str, Any]]]) -> None:
        self.settings: dict[str, dict[str, Any]] = {}
        self._names = names
        self._open = open_one

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[DiagnosedModel]:
        for name in self._names:
            yield self._open_one(name)  # no name of its own here: it would keep the model in memory

    def _open_one(self, name: str) -> DiagnosedModel:
        diagnosed_model, settings = self._open(name)
        self.settings[diagnosed_model.name] = settings
        return diagnosed_model


def open_models(
    names: Sequence[str],
    resolve: Callable[[str], str],
    *,
    base_url: str | None = None,
    tokenizer: str | None = None,
    system_prompt: str | None = None,
    think_tags: str | None = None,
    max_batch_tokens: int,
    batch_size: int,
    **loading: Any,
) -> OpenedModels:
    """Return models to be diagnosed.

    Args:
        names: checkpoint folders or names on the hub; with a server, names there, or none for its only model.
        resolve: turns a name into a folder or a name on the hub.
        base_url: an OpenAI-compatible server; None runs the models here, with transformers.
        tokenizer: of a server's model, if the server does not say where it is.
        system_prompt: text of a system message; None asks each model here as it was trained, see
            `choose_system_prompt`.
        think_tags: how models here write the tags of the thinking part; None as `choose_think_tags` says.
        max_batch_tokens, batch_size: tokens held, and responses written, at a time.
        loading: device, dtype and trust_remote_code, as for `load_policy`.

    Raises:
        ConfigError: no model is named, or one twice.
        ModelError: a checkpoint cannot be used.
    """
    if len(set(names)) < len(names):
        raise ConfigError("a model is named twice; name each once")
    if base_url is not None:
        if think_tags == TEXT:
            raise ConfigError(
                "think_tags 'text' changes a tokenizer, and a server has its own; serve a folder that was trained or "
                "exported with plain tags, and leave --think-tags out"
            )
        return OpenedModels(names or [""], lambda name: _connect(name, base_url, tokenizer, system_prompt or None))
    if not names:
        raise ConfigError("no model is named; give a checkpoint folder, a name on the hub, or 'lab'")
    sources = {name: resolve(name) for name in names}
    for source in sources.values():
        check_checkpoint(source)

    def load(name: str) -> tuple[DiagnosedModel, dict[str, Any]]:
        tags = choose_think_tags(think_tags, sources[name])
        policy = replace(load_policy(sources[name], think_tags=tags, **loading), name=name)
        asked_with = choose_system_prompt(system_prompt, sources[name])
        settings = {"system_prompt": asked_with, **describe_policy(policy)}
        diagnosed_model = TransformersModel(
            policy, system_prompt=asked_with, batch_size=batch_size, max_batch_tokens=max_batch_tokens
        )
        return diagnosed_model, settings

    return OpenedModels(names, load)


def choose_tags(think_tags: str | None, names: Sequence[str], resolve: Callable[[str], str]) -> tuple[str, str]:
    """Return what opens and what closes the thinking part of the models that are diagnosed together.

    Args:
        think_tags, names, resolve: as for `open_models`.

    Raises:
        ConfigError: the option is unknown, or the runs of the models wrote different tags.
    """
    found = {read_think_tags(choose_think_tags(think_tags, resolve(name))) for name in names} or {THINK_TAGS}
    if len(found) > 1:
        listed = ", ".join(sorted(" ".join(tags) for tags in found))
        raise ConfigError(
            f"the models write different tags ({listed}); diagnose them one by one, or give --think-tags"
        )
    return found.pop()


def choose_data(data: str | None, names: Sequence[str]) -> str:
    """Return the data set that is asked; the lab's own where the lab's model is diagnosed.

    Raises:
        ConfigError: none is named.
    """
    if data is None and LAB not in names:
        raise ConfigError("no data set is named; give --data, or the model 'lab', which brings its own questions")
    return data if data is not None else LAB


def open_judge(model: str | None, url: str | None, prices: tuple[float, float] | None = None) -> Judge | None:
    """Return the judge behind a server; None if none is named.

    Args:
        model: its name there.
        url: of an OpenAI-compatible server; None is OpenAI's own.
        prices: US dollars for a million tokens, read and written.

    Raises:
        ConfigError: a URL comes without a model.
        ModelError: there is no server, or no such model.
    """
    if model is None:
        if url is not None:
            raise ConfigError("--judge-url comes without a model; name it with --judge")
        return None
    from vapo.api.prices import Prices
    from vapo.serving.judge.judge import Judge

    return Judge(url or OPENAI, model, prices=Prices(*prices) if prices is not None else None)


def _connect(
    name: str, base_url: str, tokenizer: str | None, system_prompt: str | None
) -> tuple[DiagnosedModel, dict[str, Any]]:
    from vapo.api.address import hide_password
    from vapo.serving.start import connect_model

    diagnosed_model = connect_model(base_url, name or None, tokenizer=tokenizer, system_prompt=system_prompt)
    return diagnosed_model, {
        "system_prompt": system_prompt,
        "server": hide_password(base_url),
        "vapo": OWN,
    }
