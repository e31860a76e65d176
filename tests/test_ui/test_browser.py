"""The UI in a real browser: what a lab scientist sees."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from command_line import ROOT, settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(home, log, *more):
    port = free_port()
    command = [sys.executable, "-m", "phenoassets.cli.main", "ui", "--home", str(home.root), "--port", str(port), *more]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).close()
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield process, port
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # it ends its own children
            process.wait(60)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page of its own, whose visitor has been asked to join Dagster's community before.

    nux is off in dagster.yaml, but the page asks where its query of that setting is not answered in time.
    """
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.add_init_script("localStorage.setItem('communityNux', '\"1\"')")
    yield page
    page.close()


@pytest.fixture(scope="module")
def server(made_home, tmp_path_factory):
    log = tmp_path_factory.mktemp("ui") / "log"
    with serving(made_home, log) as (process, port):
        yield process, port, log


def test_the_graph_shows_its_groups(page, server):
    page.goto(f"http://127.0.0.1:{server[1]}/asset-groups")
    for group in ("plates", "catalogue", "images", "embeddings", "profiles", "trajectories", "effects", "warehouse"):
        page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)


@pytest.mark.parametrize(
    "asset",
    [
        "plate_maps",
        "image_quality",
        "illumination",
        "corrected_images",
        "growth_curves",
        "embeddings/convae_pooled",
        "well_profiles/convae_pooled",
        "temporal_distances/convae_pooled",
    ],
)
def test_a_plates_asset_shows_its_picture(page, server, asset):
    page.goto(f"http://127.0.0.1:{server[1]}/assets/{asset}?view=partitions&partition=VEP1_P1")
    show_picture(page)


@pytest.mark.parametrize(
    "table",
    ["sphered_profiles", "strong_treatments", "temporal_clusters", "cluster_scores", "drug_effects", "phenotypes"],
)
def test_an_answer_shows_its_picture(page, server, table):
    page.goto(f"http://127.0.0.1:{server[1]}/assets/{table}/convae_pooled?view=events")
    show_picture(page)


def show_picture(page):
    page.get_by_text("[Show Markdown]").first.click(timeout=60_000)
    image = page.locator("img[src^='data:image/avif']").first
    image.wait_for(timeout=60_000)
    assert image.evaluate("img => img.naturalWidth") > 150


def test_an_answer_shows_columns_row_count_and_a_passed_check(page, server):
    page.goto(f"http://127.0.0.1:{server[1]}/assets/temporal_clusters/convae_pooled?view=overview")
    page.get_by_text("Time from which the distance stays above the null band for hours on end").wait_for(timeout=60_000)
    page.get_by_text("Row count").first.wait_for(timeout=60_000)
    page.goto(f"http://127.0.0.1:{server[1]}/assets/temporal_clusters/convae_pooled?view=checks")
    page.get_by_text("fits_schema").first.wait_for(timeout=60_000)


def test_the_sensors_are_running(page, server):
    page.goto(f"http://127.0.0.1:{server[1]}/automation")
    for sensor in ("screen_refresh", "new_exports", "changed_sheets"):
        page.get_by_text(sensor).first.wait_for(timeout=60_000)


def test_it_warns_of_nothing_and_ends_cleanly_on_interrupt(virtual_exports, tmp_path):
    log = tmp_path / "log"
    with serving(settings(tmp_path / "home", virtual_exports), log) as (process, _):
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
    assert "Warning" not in log.read_text()


def test_viewers_are_served_read_only(page, made_home, tmp_path):
    with serving(made_home, tmp_path / "log", "--read-only") as (_, port):
        page.goto(f"http://127.0.0.1:{port}/assets/temporal_clusters/convae_pooled?view=overview")
        page.get_by_text("Row count").first.wait_for(timeout=60_000)
        assert page.get_by_role("button", name="Materialize").first.is_disabled()
