"""A home that may only be read answers what it can, and says in one line what it cannot."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from command_line import ROOT, phenoassets
from namespaces import read_only

from phenoassets.admin.homes import require_writable
from phenoassets.cli.instance import instance_of
from phenoassets.cli.status import overview
from phenoassets.errors import StoreError
from phenoassets.screen.loading import load_screen
from phenoassets.store.home import Home

PHENOASSETS = (sys.executable, "-m", "phenoassets.cli.main")


def asked(home, *arguments):
    command = [*read_only(home.root), *PHENOASSETS, *map(str, arguments), "--home", str(home.root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def files_of(home):
    return {path: path.stat().st_mtime_ns for path in home.root.rglob("*")}


def test_status_and_sql_answer_as_they_do_where_it_can_be_written(made_home):
    before = phenoassets("status", "--home", made_home.root).stdout
    found = asked(made_home, "status")
    assert found.returncode == 0, found.stderr
    assert [line for line in found.stdout.splitlines() if not line.startswith("free")] == [
        line for line in before.splitlines() if not line.startswith("free")
    ]
    assert "succeeded" in found.stdout  # how its last run ended, out of Dagster's databases
    rescanned = asked(made_home, "status", "--rescan")
    assert rescanned.stdout.endswith("files on 1 plates, 0 rewritten\n"), rescanned.stderr
    answer = asked(made_home, "sql", "SELECT count(*) > 0 AS some FROM effects", "--format", "csv")
    assert answer.stdout == "some\ntrue\n", answer.stderr


@pytest.mark.parametrize("arguments", [["run"], ["ui"], ["plate", "remove", "VEP1_P1", "--yes"]])
def test_what_would_write_is_refused_in_one_line(made_home, arguments):
    said = asked(made_home, *arguments)
    assert said.returncode == 1
    assert said.stderr.startswith(f"error: {made_home.root} may only be read; run where it can be written")
    assert len(said.stderr.splitlines()) == 1


def test_the_read_only_ui_is_served(made_home):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*read_only(made_home.root), *PHENOASSETS, "ui", "--read-only", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--home", str(made_home.root)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        told = []
        while "http://" not in "".join(told[-1:]) and server.poll() is None:
            told.append(server.stdout.readline())
        assert "may only be read: its runs are shown as they stand now" in told[0]
        query = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            b'{"query": "{ runsOrError { ... on Runs { results { status } } } }"}',
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(query) as answer:
            assert b"SUCCESS" in answer.read()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_nothing_is_written_where_the_system_says_that_it_cannot_be(made_home, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))
    before = files_of(made_home)
    screen = load_screen(made_home)
    with instance_of(made_home) as instance:
        assert instance.get_runs_count()
        instance.add_dynamic_partitions("plate", ["written into the copy"])
    _, lines = overview(screen, rescan=True)
    assert lines[-1].startswith("rescan: ")
    with pytest.raises(StoreError, match="may only be read; run where it can be written"):
        require_writable(made_home)
    assert files_of(made_home) == before


def test_a_home_that_is_not_there_yet_can_be_made(tmp_path):
    require_writable(Home(tmp_path / "new"))
