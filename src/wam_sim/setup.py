from setuptools import find_packages, setup

PACKAGE = "wam_sim"

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
    description="MuJoCo worlds, a virtual Go2 and the closed loop without ROS.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "bag_player_node = wam_sim.bag_player.bag_player_node:main",
            "virtual_carla_bridge = wam_sim.virtual_carla.virtual_carla_node:main",
            "virtual_go2 = wam_sim.virtual_go2.server:main",
        ],
    },
)
