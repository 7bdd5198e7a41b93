"""Plays a bag to the nodes of this stack, which then live in its time: cameras, odometry, instruction, goal, /clock."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from wam_controller import qos
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_controller.shared_memory import make_room_for_pictures
from wam_models.data.bag_reader import BagReader
from wam_models.data.topics import guess_topics, read_topics
from wam_sim.bag_player.conversions import KINDS, clock_message, transform_message
from wam_sim.bag_player.player import TICK, Pace, Tick, ticks
from wam_sim.bag_player.settings import PLAYER
from wam_sim.bag_player.tape import Route, Tape, make_routes
from wam_sim.run_recorder import bag_types

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the ROS wheels have none
    TFMessage = None

_HOLD_PERIOD = 0.1  # s of the steady clock between two clocks that say the same
# s from when a subscriber is seen until it has seen this publisher too, which nobody tells. Without it a planner missed
# the first two or three pictures.
_SETTLING = 1.5
_WATCH_PERIOD = 0.5  # s of the steady clock
# s of the steady clock that a finished recording stands still, so that the last plan is still made and drawn.
_LAST_LOOK = 2.0
# s that one callback may publish what is overdue: signals and services want their turn.
_LONGEST_TURN = 0.05
_WITHOUT = {"none": (), "instruction": ("instruction",), "goal": ("goal",), "both": ("instruction", "goal")}
_QOS = {
    "camera": qos.CAMERA,
    "camera_info": qos.CAMERA,
    "odometry": qos.ODOMETRY,
    "instruction": qos.LATCHED,
    "goal": qos.LATCHED,
    "recorded": qos.PLAN,
}


class BagPlayerNode(ManagedNode):
    """A bag -> /clock, camera/*, odom, instruction, goal, recorded/*. It ends itself: with status 0 at the end of the
    bag, with 1 when there is nothing that it could play."""

    parameters = PLAYER

    def __init__(self, **options: object) -> None:
        super().__init__("bag_player", **options)
        self._running = False

    def autostart(self) -> None:
        """See ManagedNode. Nothing may wait for a recording that cannot be played."""
        super().autostart()
        if self.has_parameter("autostart") and self.get_parameter("autostart").value and not self._running:
            raise SystemExit(1)

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode. Raises BagError, a ValueError, when the bag cannot be played."""
        self._settings = settings
        path, file = Path(str(settings["bag"])), str(settings["topics"])
        if not settings["bag"]:
            raise ValueError("parameter bag is empty: name a rosbag2 folder, or an .mcap or .db3 file")
        with ExitStack() as opened:
            bag = opened.enter_context(BagReader(path, bag_types))
            cameras = str(settings["cameras"]).split(",")
            topics = read_topics(Path(file), bag.channels) if file else guess_topics(bag.channels, cameras)
            routes = make_routes(topics, bag.channels, _WITHOUT[str(settings["without"])])
            self._tape = Tape(bag, routes, bag_types(), float(settings["start"]))
            self._opened = opened.pop_all()
        if not any(route.role == "odometry" for route in self._tape.routes):
            self.get_logger().warning(f"{path} has no odometry: there will be no plan")
        for route in self._tape.routes:
            self.get_logger().info(f"{route.source} is played as {self.resolve_topic_name(route.topic)}")

    def tear_down(self) -> None:
        """See ManagedNode."""
        self._opened.close()

    def start(self) -> None:
        """See ManagedNode. Time stands still until somebody listens."""
        self._clock_out = self.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self._topics: dict[Route, Publisher] = {
            route: self.create_publisher(KINDS[route.kind], route.topic, _QOS[route.role])
            for route in self._tape.routes
        }
        self._tf = None if TFMessage is None else self.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        rate = float(self._settings["rate"])
        self._pace = Pace(rate)
        self._ticks = ticks(self._tape.lap, bool(self._settings["loop"]))
        self._tick: Tick | None = next(self._ticks)
        self._time = self._tick.clock
        self._since = self._heard_at = self.steady_now  # when time began to stand still
        self._hold = self.steady_timer(_HOLD_PERIOD, self._on_hold)
        self._play = self.steady_timer(TICK / rate, self._on_time)
        self._play.cancel()
        self._watch = self.steady_timer(_WATCH_PERIOD, self._look_for_rivals)
        self._running = True
        waited, patience = self._settings["wait_for"], self._settings["patience"]
        self._say(f"waiting for {waited} to hear cameras and odometry, {patience:g} s at most" if waited else "ready")

    def halt(self) -> None:
        """See ManagedNode."""
        for timer in (self._hold, self._play, self._watch):
            self.destroy_timer(timer)
        for publisher in filter(None, (self._clock_out, self._tf, *self._topics.values())):
            self.destroy_publisher(publisher)

    def _say(self, text: str) -> None:
        self.get_logger().info(text)
        self.report_health(DiagnosticStatus.OK, text, {})

    def _on_hold(self) -> None:
        """Before time starts, and after its end."""
        stood = self.steady_now - self._since
        if self._tick is not None and stood < _SETTLING:  # who else is there is not known yet
            self._heard_at = self.steady_now
            return
        self._clock_out.publish(clock_message(self._time))
        if self._tick is None:
            if stood > _LAST_LOOK:
                raise SystemExit(0)
            return
        if not self._is_heard():
            self._heard_at = self.steady_now
            if stood < self._settings["patience"]:
                return
            self.get_logger().warning(f"{self._settings['wait_for']} did not come in {stood:.0f} s")
        elif self._settings["wait_for"] and self.steady_now - self._heard_at < _SETTLING:
            return
        self._say(f"playing {self._tape.seconds:.1f} s of {self._settings['bag']}")
        self._hold.cancel()
        self._due = self._pace.due(self._tick, self.steady_now)
        self._play.reset()

    def _look_for_rivals(self) -> None:
        """A robot or a simulator that publishes the same: a second clock or camera would confuse both. It may be found
        seconds after it was there."""
        ours = {"/clock": 1, "robot_ready": 0}
        ours |= {route.topic: 1 for route in self._topics if route.role in ("camera", "odometry")}
        rivals = ", ".join(topic for topic, count in ours.items() if self.count_publishers(topic) > count)
        if rivals:
            self.get_logger().fatal(f"not played: somebody else publishes {rivals}; take a ROS_DOMAIN_ID of your own")
            raise SystemExit(1)

    def _is_heard(self) -> bool:
        """Whether whoever is waited for would miss no picture and no odometry."""
        wanted = str(self._settings["wait_for"])
        live = [publisher for route, publisher in self._topics.items() if route.role in ("camera", "odometry")]
        return not wanted or all(
            publisher.get_subscription_count()
            and any(end.node_name == wanted for end in self.get_subscriptions_info_by_topic(publisher.topic_name))
            for publisher in live
        )

    def _on_time(self) -> None:
        until = self.steady_now + _LONGEST_TURN
        while self._tick is not None and self._due <= self.steady_now < until:
            self._publish(self._tick)
            self._tick = next(self._ticks, None)
            if self._tick is None:
                self._end()
            else:
                self._due = self._pace.due(self._tick, self.steady_now)

    def _publish(self, tick: Tick) -> None:
        if tick.jumps and tick.clock != self._time:
            self.get_logger().info(f"the clock jumps from {self._time:.3f} s to {tick.clock:.3f} s")
        self._time = tick.clock
        self._clock_out.publish(clock_message(tick.clock))
        for sample in tick.samples:
            self._topics[sample.route].publish(sample.data)
            if self._tf is not None and sample.route.role == "odometry":
                self._tf.publish(TFMessage(transforms=[transform_message(sample.message)]))

    def _end(self) -> None:
        for finding in self._tape.findings:
            more = f" (and {finding.count - 1} more)" if finding.count > 1 else ""
            self.get_logger().warning(f"{finding.kind}: {finding.first}{more}")
        if self._pace.held:
            self.get_logger().warning(f"time stood still for {self._pace.held:.1f} s: this machine did not keep up")
        self._say("the bag has ended; its clock stands still")
        self._play.cancel()
        self._since = self.steady_now
        self._hold.reset()


def main() -> None:
    """Run the node until the bag ends, or SIGINT or SIGTERM."""
    make_room_for_pictures()
    run(BagPlayerNode)


if __name__ == "__main__":
    main()
