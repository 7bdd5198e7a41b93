"""The bridge's SDK process against whatever robot there is, without ROS: connects, walks a second, says what it saw.

python go2_link_probe.py INTERFACE
"""

from __future__ import annotations

import json
import sys
import threading
import time

from wam_go2.protocol import Fault, Frame, Health, Move, RobotState
from wam_go2.sdk_link import LinkSettings, SdkLink

PATIENCE = 20.0  # s to connect


def main() -> None:
    news = threading.Event()
    link = SdkLink(LinkSettings(interface=sys.argv[1]), news.set)
    seen = {"states": 0, "frames": 0, "speed": 0.0, "fault": ""}
    health: Health | None = None
    deadline = time.monotonic() + PATIENCE
    walking_until = None
    while time.monotonic() < (walking_until or deadline) and not seen["fault"]:
        link.step(time.monotonic())
        news.wait(0.02)
        news.clear()
        for message in link.poll():
            if isinstance(message, RobotState):
                seen["states"] += 1
                seen["speed"] = max(seen["speed"], abs(message.velocity[0]))
            elif isinstance(message, Frame):
                seen["frames"] += 1
            elif isinstance(message, Health):
                health = message
            elif isinstance(message, Fault):
                seen["fault"] = message.text
        if health and health.phase in ("idle", "moving") and seen["states"] and seen["frames"]:
            walking_until = walking_until or time.monotonic() + float(sys.argv[2])
            link.send(Move(health.generation, time.monotonic(), 0.4, 0.0, 0.0))
    link.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
