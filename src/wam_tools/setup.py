from glob import glob

from setuptools import find_packages, setup

PACKAGE = "wam_tools"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["replay/*.jinja"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/requirements", glob("../../requirements/*.txt")),
    ],
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="WAM maintainers",
    maintainer_email="maintainers@wam.invalid",
    description="The wam command: bring-up, demo, benchmarks, training and checks.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "recorder_node = wam_tools.recorder.recorder_node:main",
            "wam = wam_tools.cli:main",
        ],
    },
)
