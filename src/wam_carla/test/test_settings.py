"""Parameters become what the parts need, or are refused with the rule."""

from __future__ import annotations

import math

import pytest

from wam_carla.settings import BRIDGE, make_config
from wam_controller.parameters import Value


def values(**changed: Value) -> dict[str, Value]:
    return {parameter.name: parameter.default for parameter in BRIDGE} | changed


def test_the_defaults_are_those_of_peoples_bridges():
    config = make_config(values())
    assert config.car.role_name == "ego_vehicle"
    [camera] = config.car.cameras
    assert (camera.width, camera.height, camera.position) == (800, 600, (2.0, 0.0, 2.0))
    assert camera.fov == pytest.approx(math.pi / 2.0)
    assert config.car.camera_period == 2


def test_defaults_obey_their_own_rows():
    assert not [row.violation(row.default) for row in BRIDGE if row.violation(row.default)]


def test_side_cameras_look_to_their_sides():
    looks = {it.name: it.rpy[2] for it in make_config(values(cameras="front,left,right")).car.cameras}
    assert looks == {"front": 0.0, "left": pytest.approx(math.radians(60)), "right": pytest.approx(-math.radians(60))}


def test_a_rate_between_the_ticks_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="nearest rate is 10 Hz"):
        make_config(values(camera_rate=9.0))
    with pytest.raises(ValueError, match="nearest rate is 20 Hz"):
        make_config(values(camera_rate=60.0))


@pytest.mark.parametrize(("passive", "existing"), [(False, "replace"), (True, "refuse")])
def test_a_car_of_our_name_is_ours_unless_somebody_else_ticks(passive, existing):
    assert make_config(values(passive=passive)).car.existing == existing
    assert make_config(values(passive=passive, existing_vehicle="attach")).car.existing == "attach"


def test_who_only_listens_loads_no_map():
    with pytest.raises(ValueError, match="leave town out"):
        make_config(values(passive=True, town="Town03"))


@pytest.mark.parametrize("name", ["", "my car", "7up", "a/b"])
def test_a_role_that_is_no_topic_is_refused(name):
    with pytest.raises(ValueError, match="role_name"):
        make_config(values(role_name=name))


def test_pictures_are_made_into_what_is_wanted_only():
    assert make_config(values(images="raw")).jpeg_quality == 0
    assert not make_config(values(images="compressed")).raw_images
    both = make_config(values(images="both"))
    assert both.raw_images and both.jpeg_quality == 90
