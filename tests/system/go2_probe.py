"""The vendor's stock SDK clients, driven by lines of JSON: [call, arguments...] in, one answer out.

python go2_probe.py DOMAIN INTERFACE
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from collections import deque

from unitree_sdk2py.core.channel import ChannelFactoryInitialize, ChannelSubscriber
from unitree_sdk2py.go2.sport.sport_client import SportClient
from unitree_sdk2py.go2.video.video_client import VideoClient
from unitree_sdk2py.idl.unitree_go.msg.dds_ import SportModeState_


class Clients:
    """What a user of the SDK has."""

    def __init__(self, domain: int, interface: str) -> None:
        ChannelFactoryInitialize(domain, interface)
        self._states: deque[tuple[float, SportModeState_]] = deque(maxlen=100)
        subscriber = ChannelSubscriber("rt/sportmodestate", SportModeState_)
        subscriber.Init(lambda state: self._states.append((time.monotonic(), state)), 10)
        self._sport, self._video = SportClient(), VideoClient()
        for client in (self._sport, self._video):
            client.SetTimeout(1.0)
            client.Init()

    def sport(self, name: str, *arguments: float) -> int:
        """The code of a sport call."""
        return getattr(self._sport, name)(*arguments)

    def state(self) -> dict[str, object] | None:
        """The newest state, and the rate of the last hundred in Hz."""
        if len(self._states) < 2:
            return None
        (first, _), (last, state) = self._states[0], self._states[-1]
        return {
            "mode": state.mode,
            "error_code": state.error_code,
            "position": list(state.position),
            "velocity": list(state.velocity),
            "quaternion": list(state.imu_state.quaternion),
            "body_height": state.body_height,
            "stamp": state.stamp.sec + 1e-9 * state.stamp.nanosec,
            "rate": (len(self._states) - 1) / (last - first),
            "age": time.monotonic() - last,
        }

    def image(self) -> dict[str, object]:
        """Code and JPEG of one sample."""
        code, data = self._video.GetImageSample()
        return {"code": code, "jpeg": base64.b64encode(bytes(data or b"")).decode()}


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        clients = Clients(int(sys.argv[1]), sys.argv[2])
    answer: object = "ready"
    while True:
        print(json.dumps(answer), flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        call, *arguments = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            if call in ("state", "image"):
                answer = getattr(clients, call)()
            else:
                answer = clients.sport(call, *arguments)


if __name__ == "__main__":
    main()
