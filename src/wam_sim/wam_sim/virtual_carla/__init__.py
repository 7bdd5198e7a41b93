"""The part of CARLA's Python client that a bridge needs, with a town of ours behind it instead of a server.

It plays the module `carla`: value types are the wheel's own, so a wrong argument fails as it does there. A
`server.VirtualServer` must run on the port that `Client` is given.
"""

from carla import Location, Rotation, Transform, VehicleAckermannControl, VehicleControl

from wam_sim.virtual_carla.client import Client, World

__all__ = ["Client", "Location", "Rotation", "Transform", "VehicleAckermannControl", "VehicleControl", "World"]
