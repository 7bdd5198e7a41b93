from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "wam_models"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/configs", glob("configs/*.yaml")),
        *((f"share/{PACKAGE}/{folder}", glob(f"{folder}/*.*")) for folder in map(str, Path().glob("bundled/*/"))),
    ],
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="WAM maintainers",
    maintainer_email="maintainers@wam.invalid",
    description="World-action models in torch: one observation in, one timed trajectory out. No ROS.",
    license="Apache-2.0",
)
