"""What people look at after a replay: the video plays, the page works in a browser, the viewer's file is whole."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from bags import write_bag
from typer.testing import CliRunner

from wam_tools.replay import app, report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FRAMES, PERIOD = 24, 0.25  # of the bag: pictures, s
TELL = """
const tell = found => {
  fetch("http://127.0.0.1:%d", {method: "POST", mode: "no-cors", body: JSON.stringify(found)});
  console.log("the probe has told");
};
"""


def replay(bag, out, *arguments, model="baseline:constant_velocity"):
    return CliRunner().invoke(app, [str(word) for word in (bag, "--model", model, "--out", out, *arguments)])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of one replay with everything that it can write."""
    folder = tmp_path_factory.mktemp("replay")
    write_bag(folder / "bag", frames=FRAMES, period=PERIOD, scan=True)  # with camera_info
    done = replay(folder / "bag", folder / "out", *(["--rerun"] if find_spec("rerun") else []))
    assert done.exit_code == 0, done.output
    return folder / "out"


def pictures(video):
    """All frames, (height, width, 3) BGR."""
    capture, found = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        found.append(np.asarray(read[1], dtype=float))
    return found


def in_chromium(page, script, tmp_path):
    """What the script tells by `tell(...)` in the page, and the lines of the page's console."""
    told = queue.Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    probe = page.with_name("probe.html")
    probe.write_text(f"{page.read_text()}<script>{TELL % server.server_port}{script}</script>")
    options = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0"]
    options += ["--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    log = tmp_path / "chromium.log"
    with log.open("w") as stderr:
        browser = subprocess.Popen([CHROMIUM, *options, "--remote-debugging-port=0", probe.as_uri()], stderr=stderr)
        try:
            found = told.get(timeout=60.0)
            deadline = time.monotonic() + 20.0  # what is told and what is logged go different ways
            while "the probe has told" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
            server.server_close()
            probe.unlink()
    console = re.findall(r"CONSOLE[:(]\d+\)?\] (.*)", log.read_text())
    assert any("the probe has told" in line for line in console), "this Chromium does not log its console"
    return found, [line for line in console if "the probe has told" not in line]


browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@browser
def test_tables_sort_by_a_click_and_the_page_has_no_error(out, tmp_path):
    script = """
    const head = [...document.querySelectorAll("th")].find(each => each.textContent === "ADE m");
    const column = () => [...head.closest("table").tBodies[0].rows].map(row => row.cells[head.cellIndex].textContent);
    const before = column();
    head.click(); const down = column(), says = head.getAttribute("aria-sort");
    head.click(); tell({before, down, says, up: column()});
    """
    found, console = in_chromium(out / "report.html", script, tmp_path)
    values = [float(value) for value in found["before"]]
    assert len(set(values)) > 1
    assert [float(value) for value in found["down"]] == sorted(values, reverse=True)
    assert [float(value) for value in found["up"]] == sorted(values)
    assert found["says"] == "descending" and not console


@browser
@pytest.mark.parametrize("embedded", [report._EMBEDDED, 0])
def test_the_video_plays_in_the_page(tmp_path, monkeypatch, embedded):
    """From within the page, and from beside it, in a folder with a name that a URL would not take."""
    monkeypatch.setattr(report, "_EMBEDDED", embedded)
    write_bag(tmp_path / "bag", frames=12, scan=True)
    assert replay(tmp_path / "bag", tmp_path / "out #1").exit_code == 0
    script = """
    const video = document.querySelector("video");
    const state = () => ({ready: video.readyState, duration: video.duration, at: video.currentTime,
                          size: [video.videoWidth, video.videoHeight], why: video.error && video.error.message});
    video.addEventListener("timeupdate", () => { if (video.currentTime > 0.3) tell(state()); });
    video.addEventListener("error", () => tell(state()));
    video.play().catch(why => tell({...state(), why: String(why)}));
    """
    found, console = in_chromium(tmp_path / "out #1" / "report.html", script, tmp_path)
    assert found["why"] is None and not console
    assert found["ready"] >= 2 and found["size"] == [960, 416] and 0.3 < found["at"] <= found["duration"]
    assert found["duration"] == pytest.approx(11 * PERIOD + 0.1, abs=0.15)


@browser
def test_a_console_error_would_be_seen(tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><title>-</title><script>console.error('broken')</script>")
    assert "broken" in in_chromium(tmp_path / "page.html", "tell(1)", tmp_path)[1][0]


def test_the_video_lasts_as_long_as_the_recording(out):
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 10.0
    frames = pictures(out / "overlay.mp4")
    assert len(frames) == pytest.approx(10 * (FRAMES - 1) * PERIOD + 1, abs=1)
    assert frames[0].shape == (416, 960, 3)
    data = (out / "overlay.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # plays before all of it is there
    assert b"avc1" in data[:4096]


def test_a_long_hole_in_the_pictures_does_not_fill_the_video(tmp_path):
    write_bag(tmp_path / "bag", frames=4, period=30.0)
    replay(tmp_path / "bag", tmp_path / "out")
    assert len(pictures(tmp_path / "out" / "overlay.mp4")) == 3 * 20 + 1  # 2 s each, and the last


def test_a_broken_picture_leaves_its_reason_in_the_video(tmp_path):
    write_bag(tmp_path / "bag", frames=6, scan=True, broken_at=2)
    replay(tmp_path / "bag", tmp_path / "out", model="baseline:stop")
    left = [frame[200:350, :400] for frame in pictures(tmp_path / "out" / "overlay.mp4")]
    assert left[6].std() < 5.0 < left[0].std()  # blank below the text; noise


def drawn(folder, *arguments):
    """Where the camera's picture differs from one whose camera looks at the sky, as shares of its height and width."""
    assert replay(folder / "bag", folder / "seen", *arguments).exit_code == 0
    assert replay(folder / "bag", folder / "bare", "--mount", "0,0,0.3,-85").exit_code == 0
    seen, bare = (pictures(folder / name / "overlay.mp4")[20][:360, :540] for name in ("seen", "bare"))
    rows, columns = np.nonzero(np.abs(seen - bare).max(axis=2) > 60.0)
    return rows / 360, columns / 540


def test_the_plan_is_drawn_on_the_ground_ahead(tmp_path):
    write_bag(tmp_path / "bag", frames=FRAMES, scan=True)
    rows, columns = drawn(tmp_path)
    assert len(rows) > 500 and rows.min() > 0.5  # below the horizon
    assert 0.3 < np.median(columns) < 0.5  # to the left, where the arc goes


def test_nothing_is_drawn_into_pictures_from_nobody_knows_where(tmp_path):
    write_bag(tmp_path / "bag", frames=FRAMES, scan=True, camera_frame="zed_left_optical")
    rows, _ = drawn(tmp_path)
    assert not len(rows)
    page = (tmp_path / "seen" / "report.html").read_text()
    assert "where its camera sits is not known: say it with --mount" in page
    rows, _ = drawn(tmp_path, "--mount", "0.3,0,0.4,0,0.3")
    assert len(rows) > 500
    assert "--mount" not in (tmp_path / "seen" / "report.html").read_text()


@pytest.mark.parametrize("mount", ["1,2,3", "a,b,c,d", "0,0,-1,0", "0,0,1,90", "0,0,1,0,0", "0,0,nan,0"])
def test_a_mount_that_is_none_is_refused(tmp_path, mount):
    write_bag(tmp_path / "bag", frames=4)
    done = replay(tmp_path / "bag", tmp_path / "out", "--mount", mount)
    assert done.exit_code == 1 and "the mount is" in done.output and not (tmp_path / "out").exists()


def test_our_cameras_are_known_by_what_the_bridge_calls_them():
    from wam_go2.conversions import CAMERA
    from wam_tools.replay import mounts

    assert mounts._GO2_FRAME == CAMERA


def test_the_page_needs_nothing_from_outside(out):
    page = (out / "report.html").read_text()
    assert 'src="data:video/mp4;base64,' in page
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:[^"')]*)""", page)


def test_large_videos_stay_beside_the_page(tmp_path, monkeypatch):
    for name in ("one", "two"):
        write_bag(tmp_path / "bag" / name, frames=6)
    replay(tmp_path / "bag", tmp_path / "out")
    sizes = [(tmp_path / "out" / name / "overlay.mp4").stat().st_size for name in ("one", "two")]
    monkeypatch.setattr(report, "_EMBEDDED", sum(sizes) - 1)
    replay(tmp_path / "bag", tmp_path / "out")
    sources = re.findall(r'<video [^>]*src="(.{15})', (tmp_path / "out" / "report.html").read_text())
    assert sources == ["data:video/mp4;", "two/overlay.mp4"]


def test_no_video_is_written_where_none_is_wanted(tmp_path):
    write_bag(tmp_path / "bag", frames=6)
    assert replay(tmp_path / "bag", tmp_path / "out", "--no-video").exit_code == 0
    assert not (tmp_path / "out" / "overlay.mp4").exists()
    assert "<video" not in (tmp_path / "out" / "report.html").read_text()


def test_the_viewers_file_holds_pictures_plans_and_scores(out):
    rerun = pytest.importorskip("rerun")
    file = out / "replay.rrd"
    assert file.read_bytes()[:3] == b"RRF"
    reader = rerun.chunk.RrdReader(file)
    assert len(reader.recordings()) == 1 and len(reader.blueprints()) == 1
    rows, static = Counter(), set()
    for chunk in reader.stream():
        if chunk.is_static:
            static.add(chunk.entity_path)
        else:
            assert list(chunk.timeline_names) == ["stamp"]
            rows[chunk.entity_path] += chunk.num_rows
    planned = json.loads((out / "metrics.json").read_text())["policies"]["constant_velocity"]
    assert rows["/odom/base_link/camera"] == rows["/odom/base_link"] == FRAMES
    assert rows["/odom/plans/constant_velocity"] == planned["plans"] == FRAMES
    assert rows["/ade/constant_velocity"] == planned["scored"] == 16
    assert rows["/speed/driven"] == FRAMES - 1 and rows["/odom/goal"] == rows["/instruction"] == 1
    assert {"/odom", "/odom/driven", "/odom/base_link/camera"} <= static  # axes, path, lens and mount


def test_what_the_viewer_needs_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    write_bag(tmp_path / "bag", frames=4)
    done = replay(tmp_path / "bag", tmp_path / "out", "--rerun")
    assert done.exit_code == 1 and "pip install -r requirements/desk.txt" in done.output
    assert not (tmp_path / "out").exists()
