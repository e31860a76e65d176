"""The web page listens to itself only: a real server, asked as other pages in the same browser would."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from command_line import ROOT, phenoassets

from phenoassets.cli.guard import SamePageOnly

QUERY = json.dumps({"query": "{ version }"})
JSON = {"Content-Type": "application/json"}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(home, port, *more):
    command = [sys.executable, "-m", "phenoassets.cli.main", "ui", "--home", str(home), "--port", str(port), *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    home = tmp_path_factory.mktemp("served") / "home"
    port = free_port()
    process = start(home, port)
    said = []
    while not any("Ctrl-C stops it" in line for line in said):
        line = process.stdout.readline()
        assert line, said
        said.append(line)
    yield home, port
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)


def ask(port, method, path, headers=(), body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, b"" if answer.status == 101 else answer.read()


@pytest.mark.slow
def test_the_page_itself_and_programs_are_answered_as_soon_as_the_address_is_said(served):
    port = served[1]
    own = {"Origin": f"http://127.0.0.1:{port}"}
    for headers in (JSON, JSON | own):
        status, body = ask(port, "POST", "/graphql", headers, QUERY)
        assert status == 200
        assert json.loads(body)["data"]["version"]
    assert ask(port, "GET", "/")[0] == 200
    assert ask(port, "GET", "/graphql", SOCKET | own)[0] == 101


@pytest.mark.slow
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"]
)
def test_a_page_of_another_origin_is_refused(served, origin):
    port = served[1]
    assert ask(port, "POST", "/graphql", JSON | {"Origin": origin}, QUERY)[0] == 403
    assert ask(port, "POST", "/report_asset_materialization/plates", {"Origin": origin})[0] == 403
    assert ask(port, "GET", "/graphql", SOCKET | {"Origin": origin})[0] == 403


@pytest.mark.slow
def test_a_name_that_was_made_to_point_here_is_refused(served):
    port = served[1]
    assert ask(port, "POST", "/graphql", JSON | {"Host": f"evil.example:{port}"}, QUERY)[0] == 403
    assert ask(port, "GET", "/", {"Host": "evil.example"})[0] == 403


@pytest.mark.slow
def test_what_a_link_an_image_or_a_form_can_send_changes_nothing(served):
    port = served[1]
    mutation = "/graphql?query=mutation%7BwipeAssets(assetPartitionRanges:[])%7B__typename%7D%7D"
    assert ask(port, "GET", mutation)[0] == 405
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(port, "POST", mutation, form)[0] == 415
    assert ask(port, "POST", mutation, {"Content-Type": "text/plain"}, QUERY)[0] == 415


@pytest.mark.slow
def test_a_second_server_and_a_taken_port_are_each_refused_in_one_line(served):
    home, port = served
    second = phenoassets("ui", "--home", home, "--port", free_port(), check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("error: the UI of this home is held by process ")
    assert len(second.stderr.splitlines()) == 1
    taken = phenoassets("ui", "--home", home, "--port", port, "--read-only", check=False)
    assert (taken.returncode, len(taken.stderr.splitlines())) == (1, 1)
    assert f"127.0.0.1 port {port} cannot be listened to" in taken.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_stopped_while_it_starts_ends_without_a_traceback_and_leaves_no_process(tmp_path, number):
    process = start(tmp_path / "home", free_port())
    family = []
    while not family and process.poll() is None:
        time.sleep(0.05)
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    said, _ = process.communicate(timeout=90)
    assert process.returncode in (0, 130)  # 130 before it serves
    assert "Traceback" not in said
    assert psutil.wait_procs(family, timeout=30)[1] == []


def refusal(served_as, **headers):
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    guard = SamePageOnly(lambda *_: None, served_as)
    return guard.refusal({"type": "http", "method": "GET", "path": "/", "headers": given})


@pytest.mark.parametrize(
    ("host", "asked", "passes"),
    [
        ("127.0.0.1", "localhost:8888", True),  # through a tunnel
        ("127.0.0.1", "[::1]:3000", True),
        ("127.0.0.1", "192.0.2.7:3000", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "[", False),
        ("0.0.0.0", "192.0.2.7:3000", True),
        ("0.0.0.0", "evil.example", False),
        ("lab.example", "LAB.example:3000", True),
    ],
)
def test_only_names_of_the_server_itself_are_answered(host, asked, passes):
    assert (refusal(host, host=asked) is None) == passes


def test_a_request_without_a_host_is_refused():
    assert refusal("127.0.0.1")[0] == 403
