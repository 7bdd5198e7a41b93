"""A policy ready to plan: loaded, limited to its threads, and warmed up, so that the first real plan is not slow."""

from __future__ import annotations

import gc

import numpy as np

from wam_models.policy import Policy, PolicySpec, load_policy
from wam_models.types import EgoState, Observation, Refusal, RefusalReason

_WARM_UP_PLANS = 2
# For a warm-up without an instruction of its own: a model that knows no word of it only refuses, which warms nothing.
_PLAIN_INSTRUCTION = "walk to the goal"


def ready_policy(
    model: str,
    *,
    device: str,
    precision: str,
    rung: str,
    candidates: int,
    steps: int,
    seed: int,
    threads: int,
    instruction: str,
) -> Policy:
    """See wam_models.policy.load_policy. steps: 0 for the checkpoint's own; instruction: what will be planned for, if
    it is known already: graphs are recorded and layers compiled for its length. Raises ValueError with the fix when the
    policy cannot be had here."""
    if not model:
        raise ValueError("no model: set the parameter model to a checkpoint directory, or to baseline:straight to try")
    try:
        policy = load_policy(
            model,
            device=device,
            precision=precision,
            rung=rung,
            candidates=candidates,
            steps=steps or None,
            seed=seed,
            threads=threads,
        )
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed here, and {model} needs it: see `wam doctor`") from error
    for _ in range(_WARM_UP_PLANS):
        answer = policy.plan(_stand_in(policy.spec, instruction or _PLAIN_INSTRUCTION))
        if isinstance(answer, Refusal) and answer.reason is RefusalReason.OUT_OF_MEMORY:
            raise ValueError(f"{model} does not fit: {answer.message}")
    policy.reset(seed)
    # What is loaded stays until the end: the collector need not walk through it in the middle of a plan.
    gc.collect()
    gc.freeze()
    return policy


def _stand_in(spec: PolicySpec, instruction: str) -> Observation:
    """A grey picture and a goal ahead, shaped as the policy wants it."""
    return Observation(
        frames=np.full((spec.context_frames, len(spec.cameras), *spec.image_size, 3), 128, dtype=np.uint8),
        stamps=spec.context_dt * np.arange(1, spec.context_frames + 1),
        cameras=spec.cameras,
        ego=EgoState(0.0, 0.0, 0.0),
        instruction=instruction,
        goal=(5.0, 0.0),
    )
