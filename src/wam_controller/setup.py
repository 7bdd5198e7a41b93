from setuptools import find_packages, setup

PACKAGE = "wam_controller"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="WAM maintainers",
    maintainer_email="maintainers@wam.invalid",
    description="Tracks a trajectory and lets only safe commands through to the robot.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "controller_node = wam_controller.controller_node:main",
            "safety_gate_node = wam_controller.safety_gate_node:main",
        ],
    },
)
