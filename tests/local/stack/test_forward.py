"""Forwarding from the address that containers call to the stack's loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from local.servers.processes import free_port
from local.settings import PROJECT
from local.stack.forward import is_own_address
from local.testkit import live

HOST = "127.0.0.2"
pytestmark = pytest.mark.skipif(not is_own_address(HOST), reason=f"this system has no {HOST}")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def forwarder(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "local.stack.forward", HOST, str(port)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"forwarding" in process.stdout.readline()
        yield process
        process.terminate()
        assert process.wait(10) == 0


def test_passes_both_ways_until_one_side_ends(forwarder: subprocess.Popen[bytes], port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=echo, args=(server,)).start()
        with socket.create_connection((HOST, port), timeout=10) as client:
            sent = b"x" * 1_000_000
            threading.Thread(target=client.sendall, args=(sent,)).start()
            received = 0
            while received < len(sent):
                received += len(client.recv(65536))
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""


def test_ends_while_connections_are_open(forwarder: subprocess.Popen[bytes], port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection((HOST, port), timeout=10),
        server.accept()[0],
    ):
        forwarder.terminate()
        assert forwarder.wait(10) == 0


def test_hangs_up_while_nothing_listens_behind_it(forwarder: subprocess.Popen[bytes], port: int) -> None:
    with socket.create_connection((HOST, port), timeout=10) as client:
        assert client.recv(1) == b""
    live.eventually(lambda: forwarder.poll() is None, "the forwarder goes on")


def test_says_that_its_port_is_taken(port: int) -> None:
    with socket.create_server((HOST, port)):
        command = [sys.executable, "-m", "local.stack.forward", HOST, str(port)]
        ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("local.forward: ")


def test_an_address_of_another_machine_is_not_ours() -> None:
    assert not is_own_address("192.0.2.1")


def echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while chunk := connection.recv(65536):
            connection.sendall(chunk)
