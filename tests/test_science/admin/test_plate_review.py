"""What status says of the sheets before a plate runs."""

import pytest

from phenoassets.admin.plate_review import alike, review_sheets
from phenoassets.screen.loading import load_screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.screen.screen_maps import read_screen_maps
from phenoassets.store.home import Home


@pytest.fixture
def review(tmp_path):
    home = tmp_path / "home"

    def review(maps, plates_csv=None, toml=""):
        for plate, text in maps.items():
            folder = home / "exports" / plate
            folder.mkdir(parents=True)
            (folder / f"{plate}_A1_1_00d00h00m.tif").write_bytes(b"x")
            (folder / "map.csv").write_text(text)
        if plates_csv is not None:
            (home / "plates.csv").write_text(plates_csv)
        (home / "screen.toml").write_text(toml)
        screen = load_screen(Home(home))
        return review_sheets(screen, landing_of(screen), read_screen_maps(screen))

    return review


HEAD = "well,cell_line,drug,conc,unit,passage\n"
ONE = HEAD + "A1,L1,DMSO,0.1,%,5\nA2,L1,DMSO,0.1,%,5\nB1,L1,Zorin,1,uM,5\nB2,L1,ZORIN,1,uM,5\nB3,L1,Serum,,,5\n"
TWO = HEAD + "A1,L1,DMSO,0.1,%,6\nB1,L1,Zorinn,1,uM,6\nB2,L1,Pela-9,1,uM,6\nB3,L1,Pela 9,1,uM,6\nC1,L2,x,1,uM,6\n"


def test_all_that_the_sheets_were_taken_for_is_told(review):
    lines = review({"00123": ONE, "P2": TWO}, "plate,cell_line\n123,L1\nP2,L1\nP9,L1\n")
    assert "controls: 00123: DMSO (2 wells)" in lines
    assert "controls: P2: DMSO (1 wells)" in lines
    text = "\n".join(lines)
    for part in (
        "no dose: Serum (1 wells); if one of them is a control, name it",
        "one name: Zorin, ZORIN are taken for Zorin",
        "alike: Zorin and Zorinn are two compounds",
        "alike: Pela 9 and Pela-9 are two compounds",
        "factor: passage of L1 varies (5, 6) and is part of its conditions",
        "no controls: plate P2 has none for L2, whose conditions get no answers",
        "conditions have one well: L1|Pela 9@1 µM|passage=6",
        "plates.csv: no folder for the plate 123; 00123 is near",
        "plates.csv: no folder for the plate P9",
        "plates.csv: no row for the folder 00123; 123 is near",
    ):
        assert part in text, part
    assert "P9; " not in text


def test_a_pooled_factor_and_a_map_without_controls(review):
    lines = review({"P1": HEAD + "B1,L1,x,1,uM,5\nB2,L1,x,1,uM,6\n"}, toml='[controls]\npool = ["passage"]\n')
    assert not [line for line in lines if line.startswith(("factor", "one well", "plates.csv", "no controls"))]
    assert lines[0].startswith("controls: P1: none; name them in the plate map or under [controls]")


def test_one_bad_map_leaves_the_others_and_the_words_they_agree_on(review):
    lines = review({"P1": ONE, "P2": "well,drug,mood\nA1,x,fine\n"})
    assert "controls: P1: DMSO (2 wells)" in lines


def test_what_is_left_out_and_what_cannot_be_is_told(review, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "well_exclusions.csv").write_text(
        "plate,well,reason,asked_by\nP1,B1,bubble,AB\nP1,H12,bubble,AB\nP 1,A1,bubble,\n"
    )
    lines = review({"P1": ONE})
    assert "left out: 2 wells of P1: B01, H12; asked by AB" in lines
    assert "well_exclusions.csv: plate P1 has nothing in H12, by its plate map" in lines
    assert "well_exclusions.csv: row 4 names the plate P 1, which has no folder; P1 is near" in "\n".join(lines)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Erlotinib", "Erlotinb", True),
        ("Erlotinib", "Erlotanib", True),
        ("Erlotinib", "Gefitinib", False),
        ("PDD 00017273", "PDD00017273", True),
        ("Compound 1", "Compound 2", False),
        ("Drug", "Drum", False),
        ("LY294002", "LY294003", False),
    ],
)
def test_names_one_letter_or_a_blank_apart_are_alike(one, other, near):
    assert bool(alike([one, other])) == near
