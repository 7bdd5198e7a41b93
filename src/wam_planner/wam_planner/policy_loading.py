"""A policy ready to plan: loaded, limited to its threads, and prepared, so that the first real plan is not slow."""

from __future__ import annotations

import gc
from collections.abc import Mapping

from wam_controller.parameters import Value
from wam_models.policy import Policy, load_policy


def ready_policy(settings: Mapping[str, Value]) -> Policy:
    """See wam_models.policy.load_policy. settings: values of wam_planner.settings.PLANNER; steps: 0 for the
    checkpoint's own; instruction: what will be planned for, if it is known already. Raises ValueError with the fix when
    the policy cannot be had here."""
    model = str(settings["model"])
    if not model:
        raise ValueError("no model: set the parameter model to a checkpoint directory, or to baseline:straight to try")
    try:
        policy = load_policy(
            model,
            device=str(settings["device"]),
            precision=str(settings["precision"]),
            rung=str(settings["rung"]),
            candidates=int(settings["candidates"]),
            steps=int(settings["steps"]) or None,
            seed=int(settings["seed"]),
            threads=int(settings["torch_threads"]),
        )
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed here, and {model} needs it: see `wam doctor`") from error
    if not policy.spec.trained:
        raise ValueError(f"{model} was converted and never trained: its plans mean nothing, train it with `wam train`")
    policy.prepare(str(settings["instruction"]))
    # What is loaded stays until the end: the collector need not walk through it in the middle of a plan.
    gc.collect()
    gc.freeze()
    return policy
