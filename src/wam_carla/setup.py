from setuptools import find_packages, setup

PACKAGE = "wam_carla"

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
    description="Bridge to a car in CARLA.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "carla_bridge_node = wam_carla.carla_bridge_node:main",
        ],
    },
)
