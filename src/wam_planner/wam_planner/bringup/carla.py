"""The nodes that drive a car in CARLA, a real server or the virtual one."""

from __future__ import annotations

from dataclasses import dataclass

from wam_planner.bringup.recording import RECORD, recorder_row
from wam_planner.bringup.rows import Row, Value, find_model, here, option

_CAMERAS = ("front", "left", "right")
_EXISTING = ("auto", "replace", "attach", "refuse")
_PORTS = 65534


@dataclass(frozen=True)
class CarlaOptions:
    """What a user may choose about a car; the launch arguments and the flags of `wam up carla` are made from it."""

    sim: bool = option(False, "a virtual CARLA with a town of ours instead of a server")
    host: str = option("localhost", "machine that CARLA's server runs on")
    port: int = option(2000, "its RPC port")
    role_name: str = option("ego_vehicle", "name of the car, in CARLA and in the topics; others use hero")
    town: str = option("", "map that the server loads, such as Town03; empty: the one that is loaded")
    passive: bool = option(False, "another client ticks the server's world")
    existing_vehicle: str = option(
        "auto", "a car of that role name: replace, attach, refuse; auto: replace, or refuse if passive"
    )
    cameras: str = option("front", "front, or front,left,right for a model of three cameras")
    model: str = option("metis-town", "a bundled model, a checkpoint directory, or baseline:lane_blind")
    instruction: str = option(
        "follow the road", "what the driver is told until something comes on the topic instruction, which sim publishes"
    )
    record: bool = option(False, RECORD)
    world: str = option("unseen:0", "simulated town as SPLIT:SEED; splits: train, val, unseen")
    scenario: str = option("route", "simulated drive, such as lane_following, red_light or cut_in")


def carla_table(options: CarlaOptions) -> tuple[Row, ...]:
    """The rows for these options, in the order they start: the car, then what stops it, then what moves it. Raises
    ValueError with the rule that the options break."""
    _check(options)
    odometry, pictures, calibrations = car_topics(options.role_name)
    # Stamps are the simulation's, and so is every age of what flows here.
    simulated: dict[str, Value] = {"use_sim_time": True}
    car: dict[str, Value] = {"port": options.port, "role_name": options.role_name, "cameras": options.cameras}
    rows: tuple[Row, ...] = (
        Row(
            "wam_sim",
            "virtual_carla_bridge",
            "carla_bridge",
            parameter_files=("carla.yaml",),
            parameters=car,
            arguments=(
                *("--world", options.world, "--scenario", options.scenario),
                *("--cameras", options.cameras, "--port", str(options.port)),
            ),
            condition="sim",
            respawn=False,
        ),
        Row(
            "wam_carla",
            "carla_bridge_node",
            "carla_bridge",
            parameter_files=("carla.yaml",),
            parameters={
                **car,
                "host": options.host,
                "town": options.town,
                "passive": options.passive,
                "existing_vehicle": options.existing_vehicle,
            },
            condition="real",
        ),
        Row(
            "wam_controller",
            "safety_gate_node",
            "safety_gate",
            parameter_files=("carla.yaml",),
            parameters=simulated,
            remaps=odometry,
        ),
        Row(
            "wam_controller",
            "controller_node",
            "controller",
            parameter_files=("carla.yaml",),
            parameters=simulated,
            remaps=odometry,
        ),
        Row(
            "wam_planner",
            "planner_node",
            "planner",
            parameter_files=("carla.yaml",),
            parameters={**simulated, "model": find_model(options.model), "instruction": options.instruction},
            remaps={**odometry, **pictures},
        ),
    )
    if options.record:
        remaps = {**odometry, **pictures, **calibrations}
        rows += (recorder_row("carla", remaps, {"cameras": options.cameras}, simulated_time=True),)
    return here(rows, options.sim)


def car_topics(role_name: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Our names of odometry, pictures and calibrations -> those of CARLA's bridges."""
    base = f"/carla/{role_name}"
    pictures = {
        f"camera/{name}/image{kind}": f"{base}/rgb_{name}/image{kind}"
        for name in _CAMERAS
        for kind in ("/compressed", "")
    }
    calibrations = {f"camera/{name}/camera_info": f"{base}/rgb_{name}/camera_info" for name in _CAMERAS}
    return {"odom": f"{base}/odometry"}, pictures, calibrations


def _check(options: CarlaOptions) -> None:
    """Before anything starts, in one sentence; the nodes would say it too, each in its own."""
    if options.sim and (options.town or options.passive):
        raise ValueError(
            "town and passive are for a real server: a virtual CARLA has the map of its world and nobody else who "
            "ticks it; leave out town and passive, or leave out sim"
        )
    if not set(options.cameras.split(",")) <= set(_CAMERAS):
        raise ValueError(f"cameras is {options.cameras!r}: choose of {','.join(_CAMERAS)}")
    if options.existing_vehicle not in _EXISTING:
        raise ValueError(f"existing_vehicle is {options.existing_vehicle!r}: choose one of {', '.join(_EXISTING)}")
    if not 0 < options.port < _PORTS:
        raise ValueError(
            f"port is {options.port}: it must be from 1 to {_PORTS - 1}; the server uses the next two as well"
        )
