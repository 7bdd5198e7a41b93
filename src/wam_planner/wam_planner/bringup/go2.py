"""The nodes that walk a Go2."""

from __future__ import annotations

from dataclasses import dataclass

from wam_planner.bringup.recording import RECORD, recorder_row
from wam_planner.bringup.rows import Row, config_file, find_model, here, option


@dataclass(frozen=True)
class Go2Options:
    """What a user may choose about a Go2; the launch arguments and the flags of `wam up go2` are made from it."""

    sim: bool = option(False, "a simulated robot in a MuJoCo yard instead of a real one")
    interface: str = option("", "network card that leads to the robot, such as eth0; simulated: lo")
    domain: int = option(0, "DDS domain of the robot; a real one is in 0")
    model: str = option("metis-yard", "a bundled model, a checkpoint directory, or baseline:straight")
    instruction: str = option("walk to the goal", "what the robot is told")
    goal: str = option("", "x,y in m forward and left of where the robot starts; empty: wait for one on the topic goal")
    record: bool = option(False, RECORD)
    world: str = option("val:0", "simulated world as SPLIT:SEED; splits: train, val, unseen")


def go2_table(options: Go2Options) -> tuple[Row, ...]:
    """The rows for these options, in the order they start: the robot, then what stops it, then what moves it. Raises
    ValueError for a simulated robot on a network card."""
    if options.sim and options.interface not in ("", "lo"):
        # The simulation's bridge stands its robot up by itself, and would do so to a real one that it hears first.
        raise ValueError(
            f"interface is {options.interface!r}: a simulated robot is on lo and never shares a wire with a real one, "
            "which its bridge would make stand up; leave interface out, or sim"
        )
    camera = "go2_camera_sim.yaml" if options.sim else "go2_camera.yaml"
    interface = options.interface or ("lo" if options.sim else "")
    rows: tuple[Row, ...] = (
        Row(
            "wam_sim",
            "virtual_go2",
            "virtual_go2",
            arguments=("--world", options.world, "--interface", interface, "--domain", str(options.domain)),
            is_node=False,
            condition="sim",
            respawn=False,
        ),
        Row(
            "wam_go2",
            "go2_bridge_node",
            "go2_bridge",
            parameter_files=("go2.yaml",),
            parameters={
                "interface": interface,
                "dds_domain": options.domain,
                "calibration_file": str(config_file(camera)),
                # A real robot stands up only when someone beside it says so.
                "stand_up_on_start": options.sim,
            },
        ),
        Row("wam_controller", "safety_gate_node", "safety_gate", parameter_files=("go2.yaml",)),
        Row("wam_controller", "controller_node", "controller", parameter_files=("go2.yaml",)),
        Row(
            "wam_planner",
            "planner_node",
            "planner",
            parameter_files=("go2.yaml",),
            parameters={
                "model": find_model(options.model),
                "instruction": options.instruction,
                "goal": options.goal,
            },
        ),
    )
    if options.record:
        rows += (recorder_row("go2", {}, {}),)
    return here(rows, options.sim)
