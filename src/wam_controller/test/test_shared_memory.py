"""A process gets room for raw pictures unless whoever started it has said otherwise."""

from __future__ import annotations

import os

import pytest

from wam_controller.shared_memory import make_room_for_pictures

NAME = "FASTDDS_BUILTIN_TRANSPORTS"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(
        os, "environ", {name: value for name, value in os.environ.items() if name not in (NAME, *PROFILES)}
    )


def test_room_is_made():
    make_room_for_pictures()
    assert os.environ[NAME].endswith("sockets_size=16MB")


@pytest.mark.parametrize("name", [NAME, *PROFILES])
def test_what_the_environment_says_is_left_as_it_is(name):
    os.environ[name] = "UDPv4"
    before = dict(os.environ)
    make_room_for_pictures()
    assert os.environ == before
