import socket

import pytest


def test_other_machines_cannot_be_reached():
    with socket.socket() as client, pytest.raises(AssertionError, match="connects to 192"):
        client.connect(("192.0.2.1", 80))  # an address for documentation, never assigned


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
