"""Pictures out of image messages, whichever library has read these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Some encoders fill the last block with zeros.
_PADDING = 64


class ImageError(ValueError):
    """An image message that holds no picture; the text says what is wrong with it."""


def decode(message: Any) -> np.ndarray:
    """An Image or CompressedImage as uint8 (H, W, 3) RGB, without ROS."""
    from rosbags.image import message_to_cvimage  # a robot with ROS from apt has cv_bridge instead

    return message_to_cvimage(message, "rgb8")


def read_image(message: Any, decode: Callable[[Any], np.ndarray] = decode) -> np.ndarray:
    """uint8 (H, W, 3) RGB. Raises ImageError when it cannot be decoded, and when a JPEG is cut off: a decoder would
    fill the missing part with grey and say nothing."""
    data = bytes(message.data)
    if not data:
        raise ImageError("the image is empty")
    if data.startswith(_JPEG_START) and _JPEG_END not in data[-_PADDING:]:
        raise ImageError(f"the JPEG of {len(data)} bytes is cut off")
    try:
        image = decode(message)
    except Exception as error:
        raise ImageError(f"the image of {len(data)} bytes cannot be decoded") from error
    if image is None or image.ndim != 3:
        raise ImageError(f"the image of {len(data)} bytes cannot be decoded")
    return image
