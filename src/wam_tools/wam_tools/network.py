"""Checks of the network that ROS and the robot need."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import secrets
import socket
import struct

from wam_tools.finding import Finding, Level

LOOPBACK = "lo"
ROBOT_NETWORK = ipaddress.ip_network("192.168.123.0/24")  # the Go2 is .161, its dock PC .18
DISCOVERY_GROUP = "239.255.0.1"
HIGHEST_DOMAIN = 101  # above it the ports of a domain reach into Linux's range for ordinary connections
ECHO_TIMEOUT = 1.0  # s
SIOCGIFADDR = 0x8915


def ros_domain() -> Finding:
    """Whether ROS_DOMAIN_ID is a number that every machine can use."""
    text = os.environ.get("ROS_DOMAIN_ID", "0")
    if text.isdigit() and int(text) <= HIGHEST_DOMAIN:
        return Finding("ROS domain", Level.OK, f"ROS_DOMAIN_ID {text}")
    return Finding(
        "ROS domain", Level.LACKS, f"ROS_DOMAIN_ID {text!r}", f"export ROS_DOMAIN_ID=0 (0 to {HIGHEST_DOMAIN})"
    )


def multicast(interface: str) -> Finding:
    """Whether a packet to the discovery group comes back on `interface`."""
    name = f"multicast on {interface}"
    address = address_of(interface)
    if address is None:
        return Finding(name, Level.NOTE, "the interface has no IPv4 address", f"ip address show dev {interface}")
    try:
        heard = _echo(address)
    except OSError as error:
        heard, said = False, error.strerror or str(error)
    else:
        said = "a packet to the discovery group did not come back"
    if heard:
        return Finding(name, Level.OK, f"heard on {address}")
    fix = f"sudo ip link set {interface} multicast on && sudo ip route add {DISCOVERY_GROUP}/32 dev {interface}"
    return Finding(name, Level.NOTE, f"{said}; nodes on other machines will not be found", fix)


def robot_interface(interface: str | None) -> Finding:
    """Whether this machine has an address in the robot's network, on the named interface or on any."""
    names = [interface] if interface else sorted(name for _, name in socket.if_nameindex())
    addresses = {name: address_of(name) for name in names}
    for name, address in addresses.items():
        if address is not None and ipaddress.ip_address(address) in ROBOT_NETWORK:
            return Finding("robot interface", Level.OK, f"{name} has {address}")
    fix = f"sudo ip address add 192.168.123.99/24 dev {interface or 'INTERFACE'}"
    seen = ", ".join(f"{name} {address or 'without address'}" for name, address in addresses.items())
    return Finding("robot interface", Level.NOTE, f"{seen}: none in {ROBOT_NETWORK}, so no real Go2", fix)


def address_of(interface: str) -> str | None:
    """First IPv4 address of an interface; None when it has none or does not exist."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        return socket.inet_ntoa(answer[20:24])
    return None


def _echo(address: str) -> bool:
    """Sends one packet to the discovery group through `address` and waits to hear it there."""
    word = secrets.token_bytes(16)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker,
    ):
        listener.bind(("", 0))
        membership = socket.inet_aton(DISCOVERY_GROUP) + socket.inet_aton(address)
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        listener.settimeout(ECHO_TIMEOUT)
        speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        speaker.sendto(word, (DISCOVERY_GROUP, listener.getsockname()[1]))
        with contextlib.suppress(TimeoutError):
            return listener.recv(len(word)) == word
    return False
