"""Mutated plate maps, metric tables, spreadsheets, stacks and names: no crash, no hang, and what is read is read back.

    python tests/fuzz.py --seconds 600 --seed 0

Every reader either gives a table or raises one `PhenoassetsError` of one line. It ends with 1 where one does not, after
it has written the input that did it beside the figures.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import openpyxl
import polars as pl
import tifffile
from stacks import write_manifest, write_stack

from phenoassets.errors import ExportError, PhenoassetsError
from phenoassets.imaging.reading import read_image
from phenoassets.incucyte import list_export, parse_image_name, read_metric_table, read_plate_map
from phenoassets.incucyte.download_manifest import MANIFEST_NAME

SLOWEST_SECONDS = 40.0  # a spreadsheet may take its reader 30 s, and this machine may be busy
MEMORY_MB = 1000.0

CSV = (
    "well,cell_line,drug,conc,unit,passage,density\nA1,HeLa,DMSO,0.1,%,5,4000\nA2,HeLa,Zorin,1.5,uM,5,4000\n"
    'A3,HeLa,"#17",0,nM,6,500\nB1,,none,,,,\nB2,hela,Vehicle,,,5,\nB3,HeLa,Anib + Belin,1 + 2,uM,5,4000\n'
)
EU = "sep=;\nwell;drug;conc;unit\nA1;DMSO 0,1 %;;\nA2;Zorin;0,5;nM\nA3;Zorin;1.000;nM\n# a remark\nB1;zorin;12,25;µM\n"
ROWS = "row\tcolumn\tsampleid\tfinal_conc_nM\tsamptype\nA\t1\tDMSO\tNA\tC\nB\t2\tTaxol\t500\tS\n3\t4\t-\t\tB\n"
XML = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><plateMap><wellStore><wells><well row="0" col="0"><items><wellItem '
    'type="Compound" concentration="0.1" concentrationUnits="%"><referenceItem type="Compound" description="DMSO" '
    'displayName="DMSO"/></wellItem><wellItem type="CellType" passage="5" seedingDensity="4000"><referenceItem '
    'type="CellType" description="HeLa" displayName="HeLa"/></wellItem></items></well><well row="1" col="2"><items>'
    '<wellItem type="Compound" concentration="5" concentrationUnits="µM"><referenceItem type="Compound" '
    'description="Zorin" displayName="17"/></wellItem><wellItem type="GrowthCondition"><referenceItem '
    'type="GrowthCondition" description="1% O2"/></wellItem></items></well></wells></wellStore></plateMap>'
)
METRIC = (
    "Label: x\nMetric: Phase Object Confluence (Percent)\n\nDate Time\tElapsed\tB2, Image 1\t: C3\t: C3 (Std Err)\n"
    "30/01/2014 17:00:00\t0\t15.754\t2\t0.5\n30/01/2014 19:00:00\t2.1\t16,5\tNaN\t1\n"
    "31.01.2014 12:00:00 PM\t19\t1.234\t3\t\n"
)
METRIC_GOOD = METRIC.replace("16,5", "16.5").replace("31.01.2014 12:00:00 PM", "31/01/2014 12:00:00")
STACK = "VID38_A1_phase-green_timestack.tif"
NAMES = ("VID558_A1_1_00d00h00m.tif", "ACHN_CL3_P2_C15_1_2019y08m30d_00h21m.tif", "B10_1_00d03h00m.png")
PIECES = (
    "\0", '"', "'", ",", ";", "\t", "\r", "\n", "#", "|", " + ", "1,000", "1.000", "-1", "1e999", "nan", "9" * 5000,
    "µ", "\u03bc", "\u202e", "\ufffd", "#REF!", "A49", "AF48", "a1", "<", ">", "&", "&#0;", "sep=|", "24:00", "=1/0",
    "é", "e\u0301", "0", "00", "P5", "DMSO", "PBS-57", "empty", "\U0001f600", "_", "99d99h99m",
)  # fmt: skip


def spreadsheet() -> bytes:
    """A small map as xlsx, with merged labels."""
    book = openpyxl.Workbook()
    for row in (("well", "drug", "conc", "unit"), ("A1", "DMSO", 0.1, "%"), ("A2",), ("B1", "Zorin", 5, "uM")):
        book.active.append(row)
    book.active.merge_cells("B2:B3")
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def mutate_text(text: str, rng: random.Random) -> bytes:
    """`text` with pieces put in, taken out, doubled or moved; then perhaps as other bytes."""
    for _ in range(rng.randrange(1, 5)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        j = min(j, i + rng.choice((1, 1, 3, 30, 300)))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:i] + rng.choice(PIECES) + text[i:]
        elif kind == 1:
            text = text[:i] + text[j:]
        elif kind == 2:
            text = text[:j] + text[i:j] * rng.choice((1, 2, 20)) + text[j:]
        elif kind == 3:
            text = text[:i] + rng.choice(PIECES) + text[j:]
        else:
            lines = text.splitlines(keepends=True)
            rng.shuffle(lines)
            text = "".join(lines) if rng.random() < 0.2 else text
    data = text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "cp1252", "cp949")), errors="replace")
    return mutate_bytes(data, rng) if rng.random() < 0.1 else data


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes changed, or cut short."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


def check_map(path: Path) -> None:
    """Read a plate map, write it as CSV and read that."""
    frame = read_plate_map(path, "P1")
    if frame["compound"].str.contains(" + ", literal=True).any():  # a flat file of ours has one dose a row
        return
    again = path.with_name("again.csv")
    left_out = ["items", "source_concentration"]
    frame.drop("items").write_csv(again)
    found = read_plate_map(again, "P1")
    assert found.drop(left_out).equals(frame.drop(left_out)), "a plate map that was written and read again is another"


def check_metric(path: Path) -> None:
    """Read a metric table, write it as the vendor does and read that."""
    frame = read_metric_table(path)
    keys = frame.select("well", "field").unique(maintain_order=True).rows()
    columns = ["Date Time", "Elapsed"]
    cells = frame.filter(pl.struct("well", "field").rank("dense") == 1)
    rows = [[time.isoformat(" "), f"{hours!r}"] for time, hours in cells.select("scanned_at", "elapsed_hours").rows()]
    for well, field in keys:
        own = frame.filter((pl.col("well") == well) & pl.col("field").eq_missing(field))
        for name, mark in (("value", ""), ("std_err", " (Std Err)")):
            columns.append(well + (f", Image {field}" if field else "") + mark)
            for row, value in zip(rows, own[name], strict=True):
                row.append("" if value is None else f"{value!r}")
    again = path.with_name("again.txt")
    # A number of four digits and more decides the decimal mark.
    again.write_text("\n".join("\t".join(row) for row in [columns, *rows]))
    try:
        found = read_metric_table(again)
    except PhenoassetsError as error:
        assert "no other number of the file says" in str(error), str(error)
        return
    assert found.equals(frame), "a metric table that was written and read again is another"


def stack(folder: Path) -> tuple[bytes, str]:
    """A small stack of two channels at two times, and its manifest."""
    entry = write_stack(folder, "A1", ("phase", "green"), ("2026-03-01T00:00:00", "2026-03-01T04:00:00"))
    write_manifest(folder, [entry])
    return (folder / STACK).read_bytes(), (folder / MANIFEST_NAME).read_text()


def check_stack(folder: Path, data: bytes, manifest: bytes) -> None:
    """List a folder with a stack, its manifest and one picture, and read every page; the picture is always there."""
    (folder / STACK).write_bytes(data)
    (folder / MANIFEST_NAME).write_bytes(manifest)
    picture = folder / "VID38_B2_1_00d00h00m.tif"
    if not picture.exists():
        tifffile.imwrite(picture, np.ones((8, 9), np.uint8))
    listing = list_export(folder)
    assert str(picture) in set(listing.images["path"]), "a bad stack took a good picture with it"
    assert not any("\n" in detail for detail in listing.rejected["detail"]), "two lines"
    for path, page in listing.images.select("path", "page").rows():
        read_image(path, page)
    if listing.rejected.height:
        raise ExportError(listing.rejected["detail"][0])


def check_name(text: str) -> None:
    """Read a file name; what is read of it again is the same."""
    assert parse_image_name(text) == parse_image_name(text)


def run(seconds: float, seed: int, spreadsheets: bool = True) -> tuple[Counter[str], list[str]]:
    """Mutate and read for some seconds; how often what came out, and every fault as text."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    faults: list[str] = []
    book = spreadsheet()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        (stacks := Path(folder) / "stacks").mkdir()
        whole, manifest = stack(stacks)
        while time.monotonic() < end:
            kind = rng.choice(
                ("map", "map", "metric", "name", "stack") + (("book",) if spreadsheets and rng.random() < 0.05 else ())
            )
            path = Path(folder) / "input"
            begin = time.monotonic()
            data = b""
            try:
                if kind == "name":
                    data = mutate_text(rng.choice(NAMES), rng)
                    check_name(data.decode("utf-8", errors="replace"))
                elif kind == "stack":
                    if rng.random() < 0.5:
                        data = mutate_bytes(whole, rng)
                        check_stack(stacks, data, manifest.encode())
                    else:
                        data = mutate_text(manifest, rng)
                        check_stack(stacks, whole, data)
                elif kind == "metric":
                    data = mutate_text(rng.choice((METRIC, METRIC_GOOD, METRIC_GOOD)), rng)
                    path.write_bytes(data)
                    check_metric(path)
                else:
                    text = rng.choice((CSV, EU, ROWS, XML))
                    data = mutate_bytes(book, rng) if kind == "book" else mutate_text(text, rng)
                    path.write_bytes(data)
                    check_map(path)
                counts[f"{kind}: read"] += 1
            except PhenoassetsError as error:
                counts[f"{kind}: refused"] += 1
                if "\n" in str(error) or "\r" in str(error):
                    faults.append(f"{kind}: two lines: {error!r}")
            except Exception:  # whatever it is, it is a fault of ours
                faults.append(f"{kind}: {traceback.format_exc()}\n{data[:3000]!r}")
            if time.monotonic() - begin > SLOWEST_SECONDS:
                faults.append(f"{kind}: took {time.monotonic() - begin:.0f} s: {data[:3000]!r}")
    return counts, faults


def peak_mb() -> tuple[float, float]:
    """Most memory of this process and of its largest child."""
    unit = 1024 if sys.platform != "darwin" else 1 << 20
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, children = (resource.getrusage(one).ru_maxrss / unit for one in who)
    return own, children


def main() -> int:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts, faults = run(asked.seconds, asked.seed)
    for name, count in sorted(counts.items()):
        print(f"{name} {count:,}")
    own, children = peak_mb()
    print(f"seed {asked.seed}, {asked.seconds:g} s, peak {own:.0f} MB, of a spreadsheet's reader {children:.0f} MB")
    print(f"faults {len(faults)}")
    for fault in faults[:20]:
        print(fault)
    return 1 if faults or max(own, children) > MEMORY_MB else 0


if __name__ == "__main__":
    sys.exit(main())
