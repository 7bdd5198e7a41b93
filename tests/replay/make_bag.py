"""Makes the small bags beside this file out of recordings of the demo, and damages them on purpose.

    ./wam demo && ./wam demo --car
    scripts/run python tests/replay/make_bag.py yard out/demo/unseen-0-indoor/bag --start 30 --seconds 8
    scripts/run python tests/replay/make_bag.py town out/demo-car/unseen-1-route-day/bag --start 20 --seconds 8

Another recording makes another bag: accept the new plans afterwards, see golden.py.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wam_models.data.bag_copy import copy_messages
from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import whole_bag
from wam_models.data.topics import guess_topics
from wam_tools.message_types import typestore

HERE = Path(__file__).parent
QUALITY = 65  # of 100: a bag below a megabyte
# s from the start: a camera that shows one picture again and again, and odometry that is silent.
FROZEN, SILENT = (1.5, 2.5), (3.6, 4.3)


def main() -> None:
    """Write the folder of that name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the folder")
    parser.add_argument("recording", type=Path, help="bag of a demo")
    parser.add_argument("--start", type=float, required=True, help="s after its first message")
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    target, new = HERE / arguments.name, HERE / f"{arguments.name}.new" / arguments.name
    shutil.rmtree(new.parent, ignore_errors=True)
    damage(arguments.recording, new, arguments.start, arguments.seconds)
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)
    new.parent.rmdir()
    print(f"{target}: {sum(file.stat().st_size for file in target.iterdir()) / 1e3:.0f} kB")


def damage(recording: Path, target: Path, start: float, seconds: float) -> None:
    """The part of a recording that the replay needs, smaller, with the faults above in it."""
    types = typestore()
    with BagReader(recording, typestore) as bag:
        topics = guess_topics(bag.channels)
        begin, picture = bag.start + start, topics.cameras["front"]
        told = {topics.instruction, topics.goal, topics.camera_info["front"]} - {""}
        with whole_bag(target, types) as writer:
            # What was told holds from the start on; one calibration is enough.
            copy_messages(bag, writer, told, begin, begin + 1e-9, held=told)
            kinds = {channel.topic: channel.kind for channel in bag.channels}
            shown: Any = None
            for topic, logged, message in bag.messages({picture, topics.odometry}, begin, begin + seconds):
                now = 1e-9 * logged - begin
                if topic == picture:
                    if shown is None or not FROZEN[0] <= now < FROZEN[1]:
                        shown = smaller(message.data)
                    message.data = shown
                elif SILENT[0] <= now < SILENT[1]:
                    continue
                writer.write_message(writer.add(topic, kinds[topic]), logged, message)


def smaller(jpeg: np.ndarray) -> np.ndarray:
    """The same picture in fewer bytes."""
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    return np.asarray(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]).ravel()


if __name__ == "__main__":
    main()
