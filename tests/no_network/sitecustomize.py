"""A Python that finds this folder on its path has no network, but may speak to this machine.

The tests load it, and put the folder on the path of every process that they start.
"""

import ipaddress
import socket
import sys

HERE = {"", "localhost", "0.0.0.0", "::", socket.gethostname()}


def is_here(host: object) -> bool:
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name is None or name in HERE:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def refuse_others(event: str, args: tuple) -> None:
    """An audit hook: it sees every call, of whatever name, and nobody can take it away again."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        connection, address = args[0], args[-1]
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or address is None:
            return
        # a datagram socket sends nothing when it is connected, but learns its own address
        silent = event == "socket.connect" and connection.type == socket.SOCK_DGRAM
        if not silent and not is_here(address[0]):
            raise ConnectionRefusedError(f"tests have no network, and {address[0]} is another machine")
    elif event == "socket.getnameinfo":
        refuse_others("socket.getaddrinfo", args[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr") and not is_here(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests have no network, and {args[0]} is another machine")


sys.addaudithook(refuse_others)
