"""A robot's table as launch actions. Only a full ROS has launch: launch files alone import this."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from wam_planner.bringup import TABLES
from wam_planner.bringup.rows import Row, command, config_file, option_rows, parse_options


def describe(robot: str) -> LaunchDescription:
    """Its options as launch arguments, and the rows that they ask for. robot: a key of TABLES."""
    options, table = TABLES[robot]
    rows = option_rows(options)

    def actions(context: LaunchContext) -> list[Node | ExecuteProcess]:
        texts = {name: LaunchConfiguration(name).perform(context) for name, _, _ in rows}
        return [_action(row) for row in table(parse_options(options, texts))]

    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=str(default).lower() if isinstance(default, bool) else str(default),
            description=description,
        )
        for name, default, description in rows
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])


def _action(row: Row) -> Node | ExecuteProcess:
    ending = {"respawn": True, "respawn_delay": 2.0} if row.respawn else {"on_exit": EmitEvent(event=Shutdown())}
    if not row.is_node:
        return ExecuteProcess(cmd=list(command(row)), name=row.name, output="screen", **ending)
    return Node(
        package=row.package,
        executable=row.executable,
        name=row.name,
        arguments=list(row.arguments),
        output="screen",
        parameters=[
            *(str(config_file(name)) for name in row.parameter_files),
            {name: ParameterValue(value, value_type=type(value)) for name, value in row.parameters.items()},
        ],
        remappings=list(row.remaps.items()),
        **ending,
    )
