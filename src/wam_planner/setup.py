from glob import glob

from setuptools import find_packages, setup

PACKAGE = "wam_planner"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # Launch files and configuration live at the repository root, where people look for them.
        (f"share/{PACKAGE}/launch", glob("../../launch/*.launch.py")),
        (f"share/{PACKAGE}/config", glob("../../config/*.yaml")),
        (f"share/{PACKAGE}/config/layouts", glob("../../config/layouts/*")),
    ],
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="WAM maintainers",
    maintainer_email="maintainers@wam.invalid",
    description="Plans a trajectory from camera, odometry and instruction with a world-action model.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "planner_node = wam_planner.planner_node:main",
        ],
    },
)
