"""ros2 launch wam_planner go2.launch.py sim:=true goal:=8.0,0.0

Only translates the table of wam_planner.bringup into launch actions.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from wam_planner.bringup import Go2Options, Row, command, config_file, go2_table, option_rows, parse_options


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=str(default).lower() if isinstance(default, bool) else str(default),
            description=description,
        )
        for name, default, description in option_rows(Go2Options)
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Node | ExecuteProcess]:
    texts = {name: LaunchConfiguration(name).perform(context) for name, _, _ in option_rows(Go2Options)}
    return [_action(row) for row in go2_table(parse_options(Go2Options, texts))]


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
