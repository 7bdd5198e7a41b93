"""Room in a process's shared memory for pictures as they are."""

from __future__ import annotations

import os

# Twice this is what Fast DDS's shared memory then holds; of itself it is 0.5 MB, less than one raw picture, whose parts
# would be sent again and again while more come. Humble's does not read it, nor does any in its localhost-only mode:
# there a deep publisher helps.
_ROOM = "DEFAULT?sockets_size=16MB"


def make_room_for_pictures() -> None:
    """Before a node is made. What the environment says of Fast DDS's transports is left as it is."""
    if not {"FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"} & os.environ.keys():
        os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", _ROOM)
