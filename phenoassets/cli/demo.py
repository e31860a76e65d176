"""The demo: a virtual screen, run as a lab's own would be, and compared with its truth.

In go a home and a seed; out come a table on the terminal and whether everything was made. The truth is read here alone.
"""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl

from phenoassets.admin.homes import prepare_home
from phenoassets.cli.run import run_screen
from phenoassets.effects.truth import agreement, dose_table
from phenoassets.sql.query import run_query
from phenoassets.steps import Progress
from phenoassets.store.home import Home
from phenoassets.store.tables import atomic_path
from phenoassets.virtual_screen import simulate

_TRUTH = "truth.parquet"
_DONE = ".simulated"
_SETTINGS = '[objects]\nsegmenters = ["unet"]\n'  # cells of two scans: some minutes, and all there is to see


def run_demo(
    home: Home,
    seed: int,
    definitions: Callable[[], dg.Definitions],
    progress: Progress,
    log: Callable[[str], None],
) -> bool:
    """Simulate a screen into `home`, materialize everything through Dagster and tell what was found.

    Returns
    -------
    bool
        Whether every asset was made.
    """
    started = time.monotonic()
    exports = home.root / "exports"
    mark = exports / _DONE
    if not mark.is_file() or mark.read_text() != str(seed):
        log(f"simulating a screen of 2 plates x 96 wells x 72 h into {exports}")
        simulate(exports, plates=2, wells=96, hours=72, interval=2, seed=seed, progress=progress)
        with atomic_path(mark) as temporary:
            temporary.write_text(str(seed))
    if not home.settings_file.exists():
        with atomic_path(home.settings_file) as temporary:
            temporary.write_text(_SETTINGS, encoding="utf-8")
    screen = prepare_home(home, None)
    outcome = run_screen(definitions(), screen, (), screen.settings.makers_of_tables, log=log)
    for failure in outcome.failures:
        log(f"error: {failure}")
    if not outcome.ok:
        return False
    _log_findings(home, exports / _TRUTH, log)
    log(f"\n{time.monotonic() - started:.0f} s in all")
    return True


def _log_findings(home: Home, truth_file: Path, log: Callable[[str], None]) -> None:
    truth = pl.read_parquet(truth_file, glob=False)
    effects = run_query([home], "SELECT condition_id, effect FROM effects")
    found = agreement(effects, truth)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        fmt_str_lengths=60,
        tbl_width_chars=220,
        tbl_formatting="MARKDOWN",
    ):
        log("\nEffect of each drug by dose, lowest first; where it differs, the truth in brackets:\n")
        log(str(dose_table(effects, truth)))
        log(f"\n{found.n_agree} of {found.n} conditions agree with the truth ({found.accuracy:.0%}).\n")
        log(str(found.confusion))
    log(f"\nTables:  {home.root}  (one folder a table, Parquet; {home.database.name} has a view for each)")
    log(f"UI:      make ui HOME_DIR={_short(home.root)}")
    query = "SELECT compound, effect, count(*) AS doses FROM effects GROUP BY ALL ORDER BY ALL"
    log(f'SQL:     .venv/bin/phenoassets sql --home {_short(home.root)} "{query}"')


def _short(path: Path) -> str:
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
