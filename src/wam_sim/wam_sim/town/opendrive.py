"""A road network as OpenDRIVE 1.4, the format that CARLA builds its maps from."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from wam_sim.town.curves import Curve
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, Connection, Junction, Road, RoadEnd, RoadNetwork

SPEED_LIMIT = 30.0  # km/h


def to_opendrive(network: RoadNetwork, name: str) -> str:
    """The text of a whole .xodr file. name: of the map."""
    root = Xml.Element("OpenDRIVE")
    header = Xml.SubElement(root, "header", revMajor="1", revMinor="4", name=name, version="1.00", vendor="WAM")
    Xml.SubElement(header, "geoReference").text = "+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84"
    for road in network.roads:
        _add_road(root, road)
    for way in network.connections:
        _add_connection(root, way)
    for junction in network.junctions:
        _add_junction(root, junction, network)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _add_road(root: Xml.Element, road: Road) -> None:
    element = _road(root, road.id, road.line, -1)
    link = Xml.SubElement(element, "link")
    Xml.SubElement(link, "predecessor", elementType="junction", elementId=str(road.start))
    Xml.SubElement(link, "successor", elementType="junction", elementId=str(road.end))
    _plan_view(element, road.line)
    section = _section(element)
    left, centre, right = (Xml.SubElement(section, side) for side in ("left", "center", "right"))
    _lane(left, 2, "sidewalk", SIDEWALK_WIDTH, "none")
    _lane(left, 1, "driving", LANE_WIDTH, "solid")
    _lane(centre, 0, "none", None, "broken")
    _lane(right, -1, "driving", LANE_WIDTH, "solid")
    _lane(right, -2, "sidewalk", SIDEWALK_WIDTH, "none")


def _add_connection(root: Xml.Element, way: Connection) -> None:
    element = _road(root, way.id, way.line, way.junction)
    link = Xml.SubElement(element, "link")
    for tag, end in (("predecessor", way.entry), ("successor", way.exit)):
        Xml.SubElement(link, tag, elementType="road", elementId=str(end.road), contactPoint=_contact(end))
    _plan_view(element, way.line)
    section = _section(element)
    centre, right = (Xml.SubElement(section, side) for side in ("center", "right"))
    _lane(centre, 0, "none", None, "none")
    lane = _lane(right, -1, "driving", LANE_WIDTH, "none")
    links = Xml.SubElement(lane, "link")
    lane.remove(links)
    lane.insert(0, links)  # the schema wants it first
    Xml.SubElement(links, "predecessor", id=str(way.enters_from.lane))
    Xml.SubElement(links, "successor", id=str(way.leads_to.lane))


def _add_junction(root: Xml.Element, junction: Junction, network: RoadNetwork) -> None:
    element = Xml.SubElement(root, "junction", id=str(junction.id), name=f"junction {junction.id}")
    ways = [way for way in network.connections if way.junction == junction.id]
    for number, way in enumerate(ways):
        connection = Xml.SubElement(
            element,
            "connection",
            id=str(number),
            incomingRoad=str(way.entry.road),
            connectingRoad=str(way.id),
            contactPoint="start",
        )
        Xml.SubElement(connection, "laneLink", {"from": str(way.enters_from.lane), "to": "-1"})


def _road(root: Xml.Element, number: int, line: Curve, junction: int) -> Xml.Element:
    return Xml.SubElement(
        root,
        "road",
        name=f"road {number}",
        length=_number(line.length),
        id=str(number),
        junction=str(junction),
        rule="RHT",
    )


def _plan_view(road: Xml.Element, line: Curve) -> None:
    kind = Xml.SubElement(road, "type", s="0", type="town")
    Xml.SubElement(kind, "speed", max=str(SPEED_LIMIT), unit="km/h")
    view = Xml.SubElement(road, "planView")
    s = 0.0
    for arc in line.arcs:
        x, y, heading = arc.start
        geometry = Xml.SubElement(
            view, "geometry", s=_number(s), x=_number(x), y=_number(y), hdg=_number(heading), length=_number(arc.length)
        )
        if arc.curvature:
            Xml.SubElement(geometry, "arc", curvature=_number(arc.curvature))
        else:
            Xml.SubElement(geometry, "line")
        s += arc.length
    profile = Xml.SubElement(road, "elevationProfile")
    Xml.SubElement(profile, "elevation", s="0", a="0", b="0", c="0", d="0")


def _section(road: Xml.Element) -> Xml.Element:
    lanes = Xml.SubElement(road, "lanes")
    Xml.SubElement(lanes, "laneOffset", s="0", a="0", b="0", c="0", d="0")
    return Xml.SubElement(lanes, "laneSection", s="0")


def _lane(side: Xml.Element, number: int, kind: str, width: float | None, mark: str) -> Xml.Element:
    lane = Xml.SubElement(side, "lane", id=str(number), type=kind, level="false")
    if width is not None:
        Xml.SubElement(lane, "width", sOffset="0", a=str(width), b="0", c="0", d="0")
    Xml.SubElement(
        lane, "roadMark", sOffset="0", type=mark, weight="standard", color="white", width="0.12", laneChange="none"
    )
    return lane


def _contact(end: RoadEnd) -> str:
    return "end" if end.at_end else "start"


def _number(value: float) -> str:
    """All digits: a thousandth of a radian is a decimetre at the end of a road."""
    return repr(float(value))
