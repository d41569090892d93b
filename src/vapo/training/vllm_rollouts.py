"""TRL's rollouts on vLLM, fixed, and probes put to the same engine.

TRL 1.16 goes wrong in two places with images: it sends vLLM prompts that are expanded already (see `vllm_pads`), and
after an update it empties the cache of keys and values but not that of encoded images, so that a trained vision
tower goes on seeing with its old weights. Both are fixed between TRL and `vllm.LLM`, a public interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import Any

from transformers import AutoConfig

from vapo.errors import ConfigError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.probing.vllm.local import EngineRanks, LocalEngine
from vapo.probing.vllm.pads import check_same_prompt, check_vllm_family, make_vllm_prompt
from vapo.probing.vllm.prober import ImagePrompt, VLLMProber
from vapo.probing.vllm.server import ServerEngine
from vapo.training.config import VAPOConfig

NEVER = -100.0
"""Logit bias of a token that is not to be sampled; it travels as JSON, which has no infinity."""


def check_vllm(model: Any, args: VAPOConfig) -> None:
    """Refuse, before anything is loaded, what cannot be rolled out on vLLM.

    Raises:
        ConfigError: vLLM is missing, or probes are to be asked of an engine that is not there.
        ModelError: the model's family is not known to be the same in vLLM.
    """
    if args.probe_backend == "vllm" and not args.use_vllm:
        raise ConfigError("probe_backend='vllm' asks the engine that makes the rollouts; set use_vllm=True as well")
    if not args.use_vllm:
        return
    if isinstance(model, str):
        given: Any = args.model_init_kwargs  # TRL also takes it as JSON; the family does not change with revisions
        revision = given.get("revision") if isinstance(given, dict) else None
        wanted = {"revision": revision, "trust_remote_code": args.trust_remote_code}
        check_vllm_family(AutoConfig.from_pretrained(model, **wanted))
    else:
        check_vllm_family(model.config)
    if find_spec("vllm") is None:
        raise ConfigError("use_vllm=True needs vLLM, which is not installed: pip install 'vapo[vllm]'")


class PatchedLLM:
    """A `vllm.LLM` that takes prompts as TRL 1.16 makes them.

    Args:
        llm: the engine; whatever is not fixed here is passed on to it.
        image_token_id: what stands for images in prompts.
    """

    def __init__(self, llm: Any, image_token_id: int) -> None:
        self.unfixed = llm
        self._image_token_id = image_token_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfixed, name)

    def generate(self, prompts: Sequence[dict[str, Any]], *args: Any, **kwargs: Any) -> list[Any]:
        """Generate from expanded prompts; raise ModelError if the engine saw others."""
        outputs = self.unfixed.generate([self._fix(prompt) for prompt in prompts], *args, **kwargs)
        for prompt, output in zip(prompts, outputs, strict=True):
            check_same_prompt(prompt["prompt_token_ids"], output.prompt_token_ids, self._image_token_id)
        return outputs

    def reset_prefix_cache(self) -> Any:
        """Forget what was computed with other weights; TRL calls it after every update."""
        self.unfixed.llm_engine.reset_encoder_cache()
        return self.unfixed.reset_prefix_cache()

    def _fix(self, prompt: dict[str, Any]) -> dict[str, Any]:
        images = prompt.get("multi_modal_data", {}).get("image", [])
        images = images if isinstance(images, list) else [images]
        return make_vllm_prompt(prompt["prompt_token_ids"], images, self._image_token_id)


def never_sample(generation: Any, token_ids: Sequence[int]) -> None:
    """Keep vLLM from sampling tokens, whatever else the user's generation options say.

    Args:
        generation: the trainer's `vllm_generation`.
        token_ids: ids that no completion may hold.
    """
    bias: dict[int, float] = generation.generation_kwargs.get("logit_bias") or {}
    bias = {**bias, **dict.fromkeys(token_ids, NEVER)}
    generation.generation_kwargs = {**generation.generation_kwargs, "logit_bias": bias}


def never_sample_vision_tokens(trainer: Any) -> None:
    """Keep a trainer's rollouts, wherever they are made, from holding tokens that stand for images."""
    ids = set(find_vision_token_ids(trainer.model.config, trainer.processing_class))
    if trainer.use_vllm:
        never_sample(trainer.vllm_generation, sorted(ids))
        return
    ids |= set(trainer.generation_kwargs.get("suppress_tokens") or [])
    trainer.generation_kwargs["suppress_tokens"] = sorted(ids)
    trainer.generation_config.suppress_tokens = sorted(ids)


def fix_rollouts(generation: Any, image_token_id: int) -> None:
    """Fix TRL's `VLLMGeneration`.

    In server mode TRL 1.16 pairs expanded prompts with features, which is right; only encoded images are forgotten
    here after an update.

    Args:
        generation: the trainer's `vllm_generation`.
        image_token_id: what stands for images in prompts.
    """
    if generation.mode == "colocate":
        generation.llm = PatchedLLM(generation.llm, image_token_id)
    elif hasattr(generation, "vllm_client"):  # on the main process alone
        client = generation.vllm_client
        reset = client.reset_prefix_cache

        @wraps(reset)
        def reset_caches() -> Any:
            client.session.post(f"{client.base_url}/reset_encoder_cache").raise_for_status()
            return reset()

        client.reset_prefix_cache = reset_caches


def probes_on_vllm(args: VAPOConfig) -> bool:
    """Whether probes that are not asked along in the policy's own pass go to the engine that makes the rollouts.

    With "auto" they do, where that engine still has the rollouts in its cache. One that sleeps between rollouts has
    forgotten them and its weights: all of it would be moved once more for the probes, so they go to transformers.
    """
    if args.probe_backend == "auto":
        return args.use_vllm and not (args.vllm_mode == "colocate" and args.vllm_enable_sleep_mode)
    return args.probe_backend == "vllm"


def make_vllm_prober(trainer: Any) -> VLLMProber:
    """Return the prober that asks the engine of a trainer's rollouts."""
    args, image_token_id = trainer.args, trainer.model.config.image_token_id
    generation = trainer.vllm_generation
    if generation.mode == "server":
        url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
        engine = ServerEngine(url, image_token_id)
    else:
        ranks = _find_ranks(generation) if generation.tensor_parallel_size > 1 else None
        llm = generation.llm.unfixed  # probes come in vLLM's own form
        engine = LocalEngine(llm, image_token_id, ranks=ranks, awake=lambda: awake(generation))
    return VLLMProber(
        engine,
        trainer.processing_class.tokenizer,
        image_token_id,
        template=args.probe_template,
        on_cache_share=lambda share: trainer._log_metric("perception/prefix_cache_share", share),
    )


def _find_ranks(generation: Any) -> EngineRanks:
    import torch.distributed

    def gather(prompts: list[ImagePrompt]) -> list[list[ImagePrompt]]:
        everyones: list[Any] = [None] * generation.tensor_parallel_size
        torch.distributed.all_gather_object(everyones, prompts, group=generation.tp_group)
        return everyones

    return EngineRanks(gather, torch.distributed.get_rank(group=generation.tp_group))


@contextmanager
def awake(generation: Any) -> Iterator[None]:
    """Wake a sleeping engine, with the policy's present weights, and put it back to sleep.

    TRL lets it sleep at level 2, which throws the weights away: they are pushed again, as TRL does before a rollout.
    """
    if not generation.enable_sleep_mode:
        yield
        return
    if generation._llm_weights_sleeping:
        generation.sync_weights()
    generation.llm.wake_up(tags=["kv_cache"])
    try:
        yield
    finally:
        generation.llm.sleep(level=2)
        generation._llm_weights_sleeping = True
