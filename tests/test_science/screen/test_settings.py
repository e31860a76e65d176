"""Settings and sheets as people write them: what is taken, and what is refused in one line."""

import datetime as dt

import pytest

from phenoassets.effects.curation import read_curated
from phenoassets.errors import SettingsError
from phenoassets.imaging.correction import RECIPES
from phenoassets.screen.loading import load_screen
from phenoassets.screen.settings import read_settings


@pytest.fixture
def root(home):
    home.root.mkdir()
    return home.root


def written(root, name, text):
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_screen(root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[correction]\nrecipe = "foo"\n',
            "correction: recipe 'foo' is not known; choose one of flat_field, retrospective, paper",
        ),
        ("[treatments]\nseed = -1\n", "treatments.seed: "),
        ("[trajectories]\nseed = -1\n", "trajectories.seed: "),
        ("[phenotypes]\nseed = -1\n", "phenotypes.seed: "),
        ("[phenotypes]\nseed = 4294967296\n", "phenotypes.seed: "),
        ("channels = []\n", "channels is empty; name at least one"),
        ('[controls]\nnegative = "(DMSO"\n', "'(DMSO' is no regular expression: "),
    ],
)
def test_settings_that_no_run_could_use_are_refused_at_once(root, text, words):
    with pytest.raises(SettingsError, match=r"screen\.toml: ") as told:
        written(root, "screen.toml", text)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_correction_recipe_can_be_chosen(root, recipe):
    screen = written(root, "screen.toml", f'[correction]\nrecipe = "{recipe}"\n')
    assert screen.settings.correction.recipe == recipe


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plates.csv", "plate,Plate\nP1,P2\n", "the column plate stands there twice; known columns are plate, "),
        ("compounds.csv", "alias,canonical,canonical name\na,b,c\n", "the column canonical stands there twice"),
        ("plates.csv", "plate,mood\nP1,good\n", "unknown column mood; known columns are plate, cell_line"),
        ("plates.csv", "cell_line\nA549\n", "the column plate is missing"),
        ("plates.csv", "plate,\nP1,x\n", "row 2 has more cells than the header"),
        ("plates.csv", "plate,,batch\nP1,x,y\n", "unknown column without a name"),
        ("plates.csv", "plate,cell_line\nP1,A549,x\n", "row 2 has more cells than the header"),
        ("plates.csv", "", "has no header in its first row"),
        ("plates.csv", "plate,batch\n\n,b\n", "row 3 has no plate"),
        ("plates.csv", "plate,dilution\nP1,1\n,\nP2,many\n", "row 4, dilution: 'many'; write a number"),
        ("plates.csv", 'plate,um_per_pixel\nP1,"1,240"\n', "row 2, um_per_pixel: '1,240'; write a number without thou"),
        ("plates.csv", "plate\nP1\nP1\n", "plate 'P1' stands there twice"),
        ("plates.csv", "plate\nZ\u00fc\nZu\u0308\n", "plate 'Z\u00fc' stands there twice"),
    ],
)
def test_a_sheet_that_cannot_be_meant_is_one_line_with_its_name(root, name, text, words):
    with pytest.raises(SettingsError) as told:
        written(root, name, text)
    assert words in str(told.value)
    assert str(told.value).startswith(str(root / name))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("ending", ["\n\n", "\n,\n", "\r\n\r\n", "\n , \n\n"])
def test_blank_lines_in_a_sheet_do_not_count(root, ending):
    screen = written(root, "plates.csv", f"plate,batch\n\nP1,b{ending}")
    assert screen.plates["plate"].to_list() == ["P1"]
    assert written(root, "compounds.csv", f"alias,canonical\nx,y{ending}").compounds.height == 1


def test_a_sheet_of_a_german_spreadsheet_is_read(root):
    header = "Plate;Cell_line;treated_at;dilution;um_per_pixel;;"
    text = f"{header}\r\nP1;U-87 µ;2019-08-30 14:05;0,5;1,240;;\r\n;;;;;;\r\n"
    for encoded in (text.encode("utf-8-sig"), text.encode("cp1252"), text.encode("utf-16")):
        [row] = written(root, "plates.csv", encoded).plates.to_dicts()
        assert (row["plate"], row["cell_line"], row["batch"]) == ("P1", "U-87 µ", None)
        assert (row["dilution"], row["um_per_pixel"]) == (0.5, 1.24)
        assert row["treated_at"] == dt.datetime(2019, 8, 30, 14, 5)


def test_a_sheet_of_one_column_and_one_with_quotes_are_read(root):
    assert written(root, "plates.csv", "plate\nP1\nP2").plates["plate"].to_list() == ["P1", "P2"]
    screen = written(root, "compounds.csv", 'alias,Canonical Name\n"x, 1","y ""2"""\n')
    assert screen.compounds.select("alias", "canonical").rows() == [("x, 1", 'y "2"')]


def test_a_curators_sheet_is_read_as_leniently_and_refused_as_clearly(tmp_path):
    sheet = tmp_path / "curated_effects.csv"
    sheet.write_text("Condition_id;Effect;reason\nA549|x@1 µM;mixed;rounds up, then divides\n;;\n\n")
    assert read_curated(sheet).rows() == [("A549|x@1 µM", "mixed", None, "rounds up, then divides")]
    for text, words in (
        ("condition_id,effect,Effect\na,mixed,none\n", "the column effect stands there twice"),
        ("condition_id,effect\n\na,deadly\n", "row 3 has the effect 'deadly'"),
    ):
        sheet.write_text(text)
        with pytest.raises(SettingsError) as told:
            read_curated(sheet)
        assert words in str(told.value)


@pytest.mark.parametrize("name", ["screen.toml", "plates.csv", "compounds.csv"])
def test_a_file_that_may_not_be_read_is_named(root, monkeypatch, name):
    (root / name).write_text("")
    opened = "read_text" if name.endswith("toml") else "read_bytes"

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(f"pathlib.Path.{opened}", refuse)
    with pytest.raises(SettingsError, match=rf"{name} cannot be read: Permission denied; check its permissions"):
        load_screen(root)


@pytest.mark.parametrize("read", [read_settings, read_curated])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, read):
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_plate_that_plates_csv_names_as_none_can_be_named_is_told_of_that_sheet(root):
    with pytest.raises(SettingsError, match=r"plates\.csv: plate 'a/b' cannot be used as a name: it holds '/'"):
        written(root, "plates.csv", "plate,cell_line\na/b,A549\n")
