"""H.264 as LeRobot reads it: frame n at n / fps, and every second one whole, so that any is near a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from wam_models.data.bag_reader import BagError

# Without these, conversion between RGB and YUV rounds down: pictures come back darker by more than a grey level.
_ROUNDED = ["-sws_flags", "bicubic+accurate_rnd+full_chroma_int"]
_ENCODING = ["-crf", "18", "-preset", "veryfast", "-g", "2", "-bf", "0", *_ROUNDED]


class VideoWriter:
    """size: (height, width) px, even: in yuv420p four pixels share a colour."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._encoder = imageio_ffmpeg.write_frames(
            str(path), size[::-1], fps=fps, codec="libx264", quality=None, macro_block_size=2,
            ffmpeg_log_level="error", output_params=_ENCODING,
        )  # fmt: skip
        self._encoder.send(None)
        self.frames = 0

    @property
    def megabytes(self) -> float:
        """Written so far; the encoder holds some frames back."""
        return self._path.stat().st_size / 2**20 if self._path.exists() else 0.0

    def add(self, frame: np.ndarray) -> None:
        """frame: uint8 (H, W, 3) RGB. Raises OSError when the encoder died, of a full disk for one."""
        self._encoder.send(np.ascontiguousarray(frame))
        self.frames += 1

    def close(self) -> None:
        self._encoder.close()


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Its frames, uint8 (H, W, 3) RGB, one after the other. Raises BagError when it cannot be read."""
    frames = imageio_ffmpeg.read_frames(str(path), output_params=["-fps_mode", "passthrough", *_ROUNDED])
    try:
        width, height = next(frames)["size"]
        for raw in frames:
            yield np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError) as error:
        raise BagError(f"{path} cannot be read as a video: copy the dataset again") from error
    finally:
        frames.close()
