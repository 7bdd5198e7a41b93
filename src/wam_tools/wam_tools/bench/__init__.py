"""`wam bench`: scores and times, as a table and as JSON. Each benchmark is a module of its own name."""

from __future__ import annotations

from wam_tools.lazy import lazy_group

BENCHMARKS = {
    "plan": "How long a plan takes, by stage, on each rung of the speed ladder.",
    "yard": "Walks to the goal, success without contact within 60 s.",
    "town": "Drives through towns: route completion, driving score, infractions.",
    "told": "Told left and told right before the same picture: how often plans go to those sides.",
    "bridge": "Pictures that the CARLA bridge carries to another process, and what is lost of them.",
    "replay": "How fast a long recording is read and replayed, and whether memory stays flat.",
    "ablation": "Attention masks, and training without video: equal data, steps and seeds, with intervals.",
}

app = lazy_group("wam bench", "wam_tools.bench", BENCHMARKS, "Score policies in closed loop, and measure plans.")
