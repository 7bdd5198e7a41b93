"""The `wam` command: a table of subcommands, each in a module of its own name with a typer `app`.

Only the module that was asked for is imported, so `wam doctor` starts on a machine that lacks everything else.
"""

from __future__ import annotations

from wam_tools.lazy import lazy_group

SUBCOMMANDS = {
    "up": "Start the nodes of a robot, real or simulated.",
    "demo": "Walk three unseen worlds with the whole graph, or drive; video, plot and bag of each.",
    "record": "Record a run as a bag: what the robot saw, was told, planned and did.",
    "replay": "Recorded runs through any model, without ROS: its plans beside what the robot then did.",
    "bag": "Bags: look at them, check them, cut, mend and convert them.",
    "bench": "Score policies in closed loop without ROS, and measure how fast they plan.",
    "train": "Train a model from recorded runs; continues where it stopped.",
    "models": "List, show and verify checkpoints; make them from public weights.",
    "doctor": "What this machine lacks, and the line that mends it.",
}

app = lazy_group("wam", "wam_tools", SUBCOMMANDS, "World-action models on robots.")


def main() -> None:
    """Entry point; exits 0 only when what the subcommand checks holds."""
    app(prog_name="wam")
