"""Drives through towns: ways, traffic, scenarios, the expert, and what is recorded of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_controller.tracker import Reference
from wam_models.data.bags import read_run
from wam_models.evaluation.town import Ended, driving_score
from wam_models.policy import Policy, PolicySpec
from wam_models.types import Observation, Plan, Trajectory
from wam_planner.plan_validator import validate
from wam_sim.runs import record_runs
from wam_sim.town.car import CarModel, outline
from wam_sim.town.driving import Vehicle, View, decide
from wam_sim.town.expert import TownExpert
from wam_sim.town.idm import Driver
from wam_sim.town.instructions import SAYINGS
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import Colour
from wam_sim.town.recording import record_drive
from wam_sim.town.rollout import CAR_PLANS, ExpertDriver, drive
from wam_sim.town.scenarios import SCENARIOS, make_world
from wam_sim.town.simulation import TownSimulation
from wam_sim.town.told import ask_both
from wam_sim.town.ways import LaneTable, Way

EVERY_SAYING = {text for texts in SAYINGS.values() for text in texts}


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(SPLITS), st.integers(0, 3), st.integers(0, 10_000))
def test_a_way_goes_on_without_a_gap_and_finds_a_car_beside_it(split: str, seed: int, turns: int) -> None:
    table = LaneTable(make_network(split, seed))
    rng = np.random.default_rng(turns)
    roads = [lane for lane in table.lanes.values() if lane.junction is None]
    way = Way(table, [roads[int(rng.integers(len(roads)))].id], rng)
    s = np.arange(0.0, 300.0, 0.5)
    poses = way.poses(s)
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    assert np.abs(steps - 0.5).max() < 0.02 and np.abs(np.diff(poses[:, 2])).max() < 0.15
    at, beside = float(rng.uniform(20.0, 280.0)), float(rng.uniform(-1.5, 1.5))
    x, y, yaw = way.poses(np.array([at]))[0]
    car = (x - beside * np.sin(yaw), y + beside * np.cos(yaw))
    assert way.nearest(car, at + float(rng.uniform(-5.0, 5.0))) == pytest.approx(at, abs=0.3)
    for entry in way.entries:
        assert way.lanes[way.begins.index(entry.at)] == entry.lane and entry.turn in ("left", "straight", "right")


def test_a_car_far_off_its_route_is_still_somewhere_along_it() -> None:
    table = LaneTable(make_network("val", 0))
    way = Way(table, [next(lane.id for lane in table.lanes.values() if lane.junction is None)])
    x, y, yaw = way.poses(np.array([0.0]))[0]
    behind = float(x - 900.0 * np.cos(yaw)), float(y - 900.0 * np.sin(yaw))
    assert way.nearest(behind, -40.0) == pytest.approx(-900.0, abs=1.0)


@pytest.mark.parametrize("split", SPLITS)
def test_a_world_is_the_same_again_and_other_names_are_refused(split: str) -> None:
    first, again, other = (make_world(split, seed, "route") for seed in (3, 3, 4))
    assert first == again and first.route != other.route
    with pytest.raises(ValueError, match="no scenario is called 'dream'"):
        make_world(split, 0, "dream")
    with pytest.raises(ValueError, match="no split is called 'moon'"):
        make_world("moon", 0)


@pytest.mark.parametrize(
    ("scenario", "turn"), [("straight", "straight"), ("turn_left", "left"), ("turn_right", "right")]
)
def test_a_turn_is_what_its_scenario_is_called_in_every_split(scenario: str, turn: str) -> None:
    for split, seed in itertools.product(SPLITS, range(3)):
        assert make_world(split, seed, scenario).route.turns[0][1] == turn


@pytest.mark.once
@pytest.mark.parametrize("split", SPLITS)
def test_a_route_is_no_way_for_who_goes_straight_on(split: str) -> None:
    for seed in range(12):
        at, turn = make_world(split, seed, "route").route.turns[0]
        assert turn != "straight" and at > 0.0


@pytest.mark.parametrize("split", SPLITS)
def test_nobody_stands_in_a_junction_or_in_another(split: str) -> None:
    for seed in range(4):
        world = make_world(split, seed, "route")
        places = [thing.footprint() for thing in world.things if thing.kind in ("parked", "cone")]
        centres = [shapely.Point(junction.centre).buffer(14.0) for junction in world.network.junctions]
        assert not any(place.intersects(centre) for place in places for centre in centres)
        cars = [thing.footprint() for thing in world.things if thing.kind == "parked"]
        assert not any(one.intersects(other) for one, other in itertools.combinations(cars, 2))


@pytest.mark.once
def test_night_and_its_kinds_are_kept_for_unseen() -> None:
    worlds = {split: [make_world(split, seed, "cut_in") for seed in range(8)] for split in SPLITS}
    lights = {split: {world.look.light for world in each} for split, each in worlds.items()}
    assert "night" in lights["unseen"] and "night" not in lights["train"] | lights["val"]
    kinds = {split: {vehicle.kind for world in each for vehicle in world.vehicles} for split, each in worlds.items()}
    assert kinds["unseen"] - kinds["train"]


@pytest.mark.once
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_expert_drives_every_scenario_without_a_fault(scenario: str) -> None:
    simulation = TownSimulation(make_world("train", 2, scenario), seed=2)
    plans: list[Trajectory] = []
    refused = []

    def check(now: TownSimulation, plan: Trajectory | None) -> None:
        assert plan is not None
        plans.append(plan)
        if now.state.speed < 0.1:
            return
        refused.extend(validate(plan.times, plan.poses, ego_of(now), CAR_PLANS))

    outcome = drive(simulation, ExpertDriver(TownExpert(simulation)), on_plan=check)
    assert outcome.ended is Ended.COMPLETED and driving_score(outcome) == 100.0, outcome.infractions
    assert not refused and plans[0].horizon == 4.0


def ego_of(simulation: TownSimulation) -> object:
    from wam_models.types import EgoState

    return EgoState(*simulation.twist)


def test_at_a_red_light_the_expert_waits_behind_the_line_and_goes_at_green() -> None:
    simulation = TownSimulation(make_world("val", 0, "red_light"), seed=0)
    entry = simulation.route.next_entry(simulation.ego.s)
    assert entry is not None
    noses, colours = [], []

    def watch(now: TownSimulation, plan: Trajectory | None) -> None:
        noses.append(now.ego.s + now.model.length / 2 - entry.at)
        colours.append(now.colour(entry.junction, entry.arm))

    drive(simulation, ExpertDriver(TownExpert(simulation)), on_plan=watch)
    at_red = [nose for nose, colour in zip(noses, colours) if colour is Colour.RED and nose < 2.0]
    assert at_red and max(at_red) < 0.0 and max(at_red) > -4.0
    assert max(noses) > 20.0


@pytest.mark.parametrize(("wanted", "passes"), [(5.0, False), (8.0, True)])
def test_a_cyclist_is_passed_by_who_wants_to_be_much_faster(wanted: float, passes: bool) -> None:
    network = make_network("val", 0)
    table = LaneTable(network)
    lane = max((each for each in network.lanes.values() if each.junction is None), key=lambda each: each.centre.length)
    way = Way(table, [lane.id])
    me = Vehicle(way, 2.0, wanted, 4.5, 1.9)
    cyclist = Vehicle(way, 16.0, 3.5, 1.8, 0.6, beside=-1.3, narrow=True)
    x, y, yaw = way.poses(np.array([cyclist.s]))[0]
    pose = np.array([[x + 1.3 * np.sin(yaw), y - 1.3 * np.cos(yaw), yaw]])
    nobody = np.zeros((0, 2))
    view = View([cyclist], pose, nobody, nobody, np.zeros((0, 3)), lambda junction, arm: Colour.GREEN)
    decision = decide(me, None, Driver(speed=wanted), view, table, {})
    assert bool(decision.beside.max() > 0.3) is passes
    assert (decision.acceleration < -0.1) is not passes


def test_someone_who_does_not_look_has_the_accident_that_the_expert_avoids() -> None:
    """Straight on at 7 m/s, whatever comes: what the scenarios are for."""

    class Blind:
        def plan(self, simulation: TownSimulation, driven: Reference | None = None) -> Trajectory:
            ego = simulation.ego
            ahead = ego.way.poses(ego.s + 7.0 * 0.5 * np.arange(1, 9))
            return Trajectory(simulation.time, 0.5, as_seen_from(simulation.pose, ahead))

    worst = {}
    for scenario, seed in itertools.product(("red_light", "lead_braking", "crossing", "parked_car"), (0, 1)):
        simulation = TownSimulation(make_world("val", seed, scenario), seed=seed)
        outcome = drive(simulation, Blind(), time_limit=40.0)
        worst.setdefault(scenario, set()).update(infraction.kind.value for infraction in outcome.infractions)
    assert "red_light" in worst["red_light"]
    assert "collision_vehicle" in worst["lead_braking"]
    assert "collision_pedestrian" in worst["crossing"]
    assert "collision_static" in worst["parked_car"]


def as_seen_from(pose: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    delta, c, s = ahead - pose, np.cos(pose[2]), np.sin(pose[2])
    x, y = c * delta[:, 0] + s * delta[:, 1], c * delta[:, 1] - s * delta[:, 0]
    return np.column_stack([x, y, (delta[:, 2] + np.pi) % (2 * np.pi) - np.pi])


@pytest.mark.parametrize("split", ["val", "unseen"])
def test_the_traffic_gets_on_and_nobody_runs_into_anybody(split: str) -> None:
    simulation = TownSimulation(make_world(split, 3, "route"), seed=3)
    begins = [mover.vehicle.s for mover in simulation.movers]
    for _ in range(450):
        simulation.step(0.0, -1.0, 0.1)
        shapes = [
            outline(mover.pose, CarModel(length=mover.start.length, width=mover.start.width))
            for mover in simulation.movers
        ]
        for one, other in itertools.combinations(shapes, 2):
            assert not one.intersects(other), simulation.time
    driven = [mover.vehicle.s - begin for mover, begin in zip(simulation.movers, begins)]
    assert np.median(driven) > 60.0


def test_people_do_not_walk_into_a_standing_car() -> None:
    world = make_world("val", 0, "crossing")
    simulation = TownSimulation(world, seed=0)
    near = []
    for _ in range(300):
        simulation.step(0.0, 2.0 if simulation.state.speed < 4.0 and simulation.time < 8.0 else -5.0, 0.1)
        if simulation.state.speed == 0.0:
            shape = outline(simulation.state.pose, simulation.model)
            near += [shape.distance(shapely.Point(walker.pose[:2])) for walker in simulation.walkers]
    assert near and min(near) > 0.3


def test_the_same_seed_drives_the_same() -> None:
    def run() -> tuple[object, list[object]]:
        simulation = TownSimulation(make_world("train", 1, "route"), seed=4)
        for step in range(100):
            simulation.step(0.05 * np.sin(step), 1.0, 0.05)
        return simulation.state, [mover.pose for mover in simulation.movers]

    assert run() == run()


def test_a_misleading_instruction_is_said_and_changes_nothing_for_the_expert() -> None:
    simulation = TownSimulation(make_world("val", 1, "misled"), seed=1)
    said = []
    drive(
        simulation,
        ExpertDriver(TownExpert(simulation)),
        on_plan=lambda now, _: said.append((now.driven, now.instruction)),
    )
    wrong = simulation.world.misleading[0]
    during = {text for driven, text in said if wrong.start <= driven < wrong.end}
    assert during == {wrong.instruction} and {text for _, text in said} <= EVERY_SAYING
    turn = simulation.world.route.turns[0][1]
    assert wrong.instruction not in SAYINGS[turn] and any(text in SAYINGS[turn] for _, text in said)


def test_recorded_drives_say_what_was_told_and_what_would_have_been_done_told_otherwise(tmp_path: Path) -> None:
    numbers = {name: number for number, name in enumerate(name for name in SCENARIOS if name != "route")}
    bag = tmp_path / "bag"
    recorded = record_drive(bag, "train", 0, episode=numbers["turn_left"], what_ifs=2)
    run = read_run(bag)
    assert recorded.frames == len(run.stamps) and run.goal is None
    assert run.label_times is not None and run.label_times.tolist() == [0.5 * i for i in range(1, 9)]
    assert len(set(run.instructions)) == 2 and set(run.instructions) <= EVERY_SAYING
    assert run.stop_lines is not None and run.scan is not None and run.scan.ranges.shape[1] == 101
    asked = run.what_ifs
    assert asked is not None and asked.goals is None and asked.instructions is not None
    assert len(asked.labels) == 2 * len(run.stamps)
    assert len(set(asked.instructions)) > 2
    meant = {text: key for key, texts in SAYINGS.items() for text in texts}
    entry = next(i for i, text in enumerate(run.instructions) if meant[text] == "left")
    ends: dict[str, list[float]] = {"left": [], "right": []}
    for frame, text, label in zip(asked.frame, asked.instructions, asked.labels):
        if frame >= entry and meant[text] in ends and label[-1, 0] > 8.0:
            ends[meant[text]].append(float(label[-1, 2]))
    assert max(ends["left"], default=0.0) > 0.3 or min(ends["right"], default=0.0) < -0.3


def test_drives_are_recorded_into_one_folder_scenario_by_scenario(tmp_path: Path) -> None:
    recorded = list(record_runs(tmp_path, "train", 1, place="town", starts="scenarios", first_seed=5))
    assert [run.path.name for run in recorded] == ["train-00005-0"] and recorded[0].reached
    assert not list(record_runs(tmp_path, "train", 1, place="town", starts="scenarios", first_seed=5))
    with pytest.raises(FileExistsError, match=r"starts scenarios.*wanted.*starts routes"):
        next(record_runs(tmp_path, "train", 1, place="town", starts="routes"))


class Listener(Policy):
    """Goes where it is told, and keeps what it was shown."""

    spec = PolicySpec("listener", ("front",), 3, 0.5, (192, 320), horizon=8, dt=0.5, needs_goal=False)

    def __init__(self) -> None:
        self.shown: list[Observation] = []

    def plan(self, observation: Observation) -> Plan:
        self.shown.append(observation)
        side = 1.0 if "left" in observation.instruction else -1.0
        ahead = np.linspace(1.0, 8.0, 8)
        poses = np.stack([ahead, side * ahead, np.zeros(8)], axis=-1)
        trajectory = Trajectory(float(observation.stamps[-1]), 0.5, poses)
        return Plan(trajectory, poses[None], np.zeros(1), {}, self.spec.model_id)


def test_who_is_asked_both_ways_sees_the_same_pictures_of_a_car_that_drives() -> None:
    listener = Listener()
    answers = list(ask_both(listener, "val", 2))
    assert answers and all(answer.apart for answer in answers)
    assert len(listener.shown) == 2 * len(answers)
    for left, right in zip(listener.shown[::2], listener.shown[1::2], strict=True):
        assert np.array_equal(left.frames, right.frames) and left.instruction != right.instruction
        assert left.ego == right.ego
        # From picture to picture the junction comes nearer.
        assert not np.array_equal(left.frames[0], left.frames[1])
        assert not np.array_equal(left.frames[1], left.frames[2])


def test_time_to_contact_is_what_it_takes_to_reach_who_stands_ahead() -> None:
    world = make_world("val", 0, "lead_braking")
    simulation = TownSimulation(world, seed=0)
    times = []
    while not simulation.contacts:
        gap = min(np.hypot(*(np.array(mover.pose[:2]) - simulation.pose[:2])) for mover in simulation.movers)
        times.append((simulation.time, simulation.time_to_contact, gap))
        simulation.step(0.0, 3.0 if simulation.state.speed < 9.0 else 0.0, 0.1)
        assert simulation.time < 30.0
    hit = simulation.time
    assert min(foreseen for _, foreseen, _ in times) < 0.5
    for time, foreseen, _ in times:
        if hit - time < 0.8:
            assert foreseen < 1.6
    assert times[0][1] == float("inf")


def test_time_to_contact_knows_what_is_parked() -> None:
    simulation = TownSimulation(make_world("val", 0, "parked_car"), seed=0)
    parked = next(each.pose for each in simulation.world.things if each.kind == "parked")
    heading = np.array([np.cos(parked[2]), np.sin(parked[2])])
    for metres, near in ((12.0, True), (40.0, False)):
        place = np.array(parked[:2]) - metres * heading
        simulation.state = replace(simulation.state, pose=(float(place[0]), float(place[1]), parked[2]), speed=6.0)
        assert (simulation.time_to_contact < 12.0 / 6.0) is near
