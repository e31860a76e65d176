"""Which wells are controls, one spelling a name, and factors that make conditions differ."""

import polars as pl
import pytest

from phenoassets.errors import PlateMapError
from phenoassets.incucyte import ControlRules, read_plate_map
from phenoassets.incucyte.plate_maps.controls import is_usual_control
from phenoassets.incucyte.plate_maps.reading import as_table, read_wells
from phenoassets.incucyte.plate_maps.vocabulary import agree
from phenoassets.store.plate_maps import with_control_group


@pytest.fixture
def write(tmp_path):
    def write(text, name="map.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def roles(frame):
    return dict(frame.select("well", "role").iter_rows())


@pytest.mark.parametrize(
    "name",
    [
        "0.1% DMSO", "DMSO 0.1 %", "DMSO (0.1% v/v)", "dmso_1%", "Veh", "Veh. ctrl", "vehicle (DMSO)", "UT", "NT",
        "untreated cells", "non-treated", "not treated", "no drug", "No compound", "No treatment control", "w/o drug",
        "media only", "Medium", "growth medium", "H2O", "ddH2O", "sterile water", "Milli-Q", "EtOH", "Ethanol 0.5%",
        "PBS", "mock", "ctrl", "CTL", "neg ctrl", "Neg. control", "Ctrl (-)", "cells only", "Cells alone",
        "0.1% DMSO in medium", "DMSO 0.1", "dimethyl sulfoxide", "Vehicle 10 µM",
    ],
)  # fmt: skip
def test_what_labs_write_for_vehicle_and_untreated_wells_is_a_control(name):
    assert is_usual_control(name)


@pytest.mark.parametrize(
    "name",
    [
        "PBS-57", "Medium-chain lipid 7", "Solvent Blue 35", "Ctrl (+)", "positive control", "Water-soluble x",
        "Controlamide", "Nt-157", "UTP", "Vehicle X1", "DMSO-d6x", "T cells", "cells", "no", "only", "", "Ethanolamine",
        "Saline 7b", "siControl 2",
    ],
)  # fmt: skip
def test_a_compound_whose_name_holds_such_a_word_is_none(name):
    assert not is_usual_control(name)


def test_a_pattern_replaces_the_usual_names(write):
    path = write("well,drug\nA1,DMSO\nA2,Buffer 7\n")
    assert roles(read_plate_map(path, controls=ControlRules(negative="^Buffer"))) == {
        "A01": "treatment",
        "A02": "negative_control",
    }


def test_dose_zero_is_a_vehicle_and_a_zero_item_drops_out(write):
    frame = read_plate_map(
        write(
            "well,drug,conc,unit,drug_2,conc_2,unit_2\nA1,Anib,0,uM,Belin,0,uM\nA2,Anib,0,nM,Belin,2,uM\n"
            "A3,Anib,1,uM,DMSO,0,%\nA4,DMSO,0,%,,,\nA5,Anib,0.0,uM,,,\n"
        )
    )
    assert frame.select("well", "role", "condition_id").rows() == [
        ("A01", "negative_control", "unspecified|vehicle"),
        ("A02", "treatment", "unspecified|Belin@2 µM"),
        ("A03", "treatment", "unspecified|Anib@1 µM"),
        ("A04", "negative_control", "unspecified|DMSO"),
        ("A05", "negative_control", "unspecified|vehicle"),
    ]
    assert frame["items"].list.len().to_list() == [1, 1, 1, 1, 1]


def test_a_role_that_contradicts_dose_zero_is_refused_or_gives_way(write):
    with pytest.raises(PlateMapError, match="row 2: a positive control whose dose is 0"):
        read_plate_map(write("well,drug,conc,role\nA1,x,0,positive_control\n"))
    frame = read_plate_map(write("well,drug,conc,role\nA1,x,0,treatment\nA2,x,0,blank\n"))
    assert roles(frame) == {"A01": "negative_control", "A02": "empty"}


CELLS = "well,cell_line,drug,conc,unit\nA1,L1,,,\nA2,L1,none,,\nA3,,,,\nA4,L1,no cells,,\nB1,L1,x,5,uM\n"


def test_cells_without_a_compound_are_untreated_controls(write):
    frame = read_plate_map(write(CELLS))
    assert roles(frame) == {
        "A01": "negative_control",
        "A02": "negative_control",
        "A03": "empty",
        "A04": "empty",
        "B01": "treatment",
    }
    assert frame["condition_id"][0] == "L1|untreated"


def test_vehicle_wells_are_the_controls_where_a_cell_line_has_both(write):
    text = CELLS + "B2,l1,DMSO,0.1,%\nC1,L2,,,\nC2,L2,x,5,uM\n"
    frame = read_plate_map(write(text))
    assert {well for well, role in roles(frame).items() if role == "negative_control"} == {"B02", "C01"}
    both = read_plate_map(write(text), controls=ControlRules(untreated="control"))
    assert {well for well, role in roles(both).items() if role == "negative_control"} == {"A01", "A02", "B02", "C01"}
    none = read_plate_map(write(text), controls=ControlRules(untreated="empty"))
    assert {well for well, role in roles(none).items() if role == "negative_control"} == {"B02"}


FACTORS = (
    "well,cell_line,drug,conc,unit,density,growth_condition,passage\n"
    "A1,L1,DMSO,0.1,%,500,RPMI,P5\nA2,L1,DMSO,0.1,%,4000,RPMI,5\nB1,L1,x,5,uM,500,rpmi,5.0\nB2,L1,x,5,uM,4000,RPMI,5\n"
    "C1,L2,x,5,uM,4000,DMEM,7\n"
)


def test_a_factor_that_varies_within_a_cell_line_is_part_of_its_conditions_and_controls_match_in_it(write):
    frame = read_plate_map(write(FACTORS))
    assert frame.select("well", "condition_id", "control_group").rows() == [
        ("A01", "L1|DMSO@0.1 %|density=500", "L1|density=500"),
        ("A02", "L1|DMSO@0.1 %|density=4000", "L1|density=4000"),
        ("B01", "L1|x@5 µM|density=500", "L1|density=500"),
        ("B02", "L1|x@5 µM|density=4000", "L1|density=4000"),
        ("C01", "L2|x@5 µM", "L2"),
    ]
    assert frame.row(0, named=True)["seeding_density"] == 500
    assert set(frame["growth_condition"]) == {"RPMI", "DMEM"}
    assert set(frame["passage"]) == {"5", "7"}


def test_a_setting_pools_a_factor(write):
    frame = read_plate_map(write(FACTORS), pool=["density"])
    assert set(frame.filter(pl.col("cell_line") == "L1")["condition_id"]) == {"L1|DMSO@0.1 %", "L1|x@5 µM"}
    assert set(frame["control_group"]) == {"L1", "L2"}


def test_several_factors_stand_in_sorted_order(write):
    text = FACTORS + "B3,L1,x,5,uM,4000,DMEM,6\n"
    frame = read_plate_map(write(text))
    assert frame.filter(pl.col("well") == "B03")["condition_id"].item() == (
        "L1|x@5 µM|density=4000;growth_condition=DMEM;passage=6"
    )


def test_a_factor_that_no_control_states_cannot_be_matched(write):
    text = "well,drug,growth_condition,density\nA1,DMSO,21% O2,\nA2,DMSO,1% O2,\nB1,x,21% O2,500\nB2,x,1% O2,4000\n"
    frame = read_plate_map(write(text), cell_line="L1")
    assert frame["control_group"].to_list() == [
        "L1|growth_condition=21% O2", "L1|growth_condition=1% O2",
        "L1|growth_condition=21% O2", "L1|growth_condition=1% O2",
    ]  # fmt: skip
    assert frame["condition_id"][2] == "L1|x|density=500;growth_condition=21% O2"


def test_a_factor_varies_over_the_screen_so_that_conditions_agree_between_plates(write):
    head = "well,drug,conc,unit,passage\n"
    one = read_wells(write(head + "A1,DMSO,,,5\nB1,x,1,uM,5\n", "one.csv"), "P1", "L1")
    two = read_wells(write(head + "A1,DMSO,,,6\nB1,x,1,uM,6\n", "two.csv"), "P2", "L1")
    vocabulary = agree([one, two])
    tables = [as_table(plate, wells, vocabulary) for plate, wells in (("P1", one), ("P2", two))]
    assert [table["condition_id"][1] for table in tables] == ["L1|x@1 µM|passage=5", "L1|x@1 µM|passage=6"]
    assert as_table("P1", one, agree([one]))["condition_id"][1] == "L1|x@1 µM"
    pooled = agree([one, two], pool=["passage"])
    assert as_table("P2", two, pooled)["condition_id"][1] == "L1|x@1 µM"


def test_case_blanks_and_encodings_make_no_other_drug_on_any_plate(write):
    head = "well,drug,conc,unit,cell_line\n"
    one = read_wells(write(head + "A1,Zorin,1,uM,HeLa\nA2,ZORIN ,1,uM,HELA\nA3,Zorin,1,uM,HeLa\n", "one.csv"), "P1")
    two = read_wells(write(head + "A1,zorin,1,uM,hela\n", "two.csv"), "P2")
    vocabulary = agree([one, two])
    assert set(as_table("P1", one, vocabulary)["condition_id"]) == {"HeLa|Zorin@1 µM"}
    assert set(as_table("P2", two, vocabulary)["condition_id"]) == {"HeLa|Zorin@1 µM"}
    assert vocabulary.variants["Zorin"] == ("Zorin", "ZORIN", "zorin")


def test_a_name_of_compounds_csv_keeps_its_spelling(write):
    known = pl.DataFrame({"alias": ["zor"], "canonical": ["zoRIN"], "moa": [None], "solvent": [None]})
    frame = read_plate_map(write("well,drug\nA1,ZORIN\nA2,ZORIN\nA3,zor\n"), compounds=known)
    assert set(frame["compound"]) == {"zoRIN"}


def test_the_real_map_no_longer_pools_four_densities(shared):
    frame = read_plate_map(shared / "plate_maps" / "example.PlateMap", "P1")
    used = frame.filter(pl.col("role") != "empty")
    assert used["control_group"].n_unique() == 4
    groups = used.group_by("control_group").agg((pl.col("role") == "negative_control").sum(), pl.len().alias("n"))
    assert sorted(groups.select("role", "n").rows()) == [(1, 6), (3, 18), (3, 18), (3, 18)]


def test_a_plate_map_without_control_groups_is_matched_by_cell_line():
    frame = pl.DataFrame({"well": ["A01", "A02"], "cell_line": ["L1", "L2"]})
    assert with_control_group(frame)["control_group"].to_list() == ["L1", "L2"]
    filled = frame.with_columns(control_group=pl.Series([None, "L2|density=1"]))
    assert with_control_group(filled)["control_group"].to_list() == ["L1", "L2|density=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("well,drug,conc\nA1,x,0,5\n", r"row 2: the row has 4 cells and the header 3; put quotes"),
        ("well,drug,,conc\nA1,x,7,5\n", "row 2: '7' stands in a column without a name; name the column"),
        ("well,drug,用量\nA1,x,5\n", "unknown column '用量'"),
        ('well,drug\nA1,"x\nA2,y\n', "line 2: the quotes do not match"),
        ("well,drug,conc\nA1,x,5 uM\n", "row 2: concentration is '5 uM'; write a number .* without its unit"),
    ],
)  # fmt: skip
def test_a_cell_that_no_column_explains_is_refused(write, text, message):
    with pytest.raises(PlateMapError, match=message) as caught:
        read_plate_map(write(text))
    assert "\n" not in str(caught.value)


def test_a_column_that_counts_rows_needs_no_name(write):
    assert read_plate_map(write(',well,drug\n"1",A1,x\n"2",A2,y\n')).height == 2


def test_comments_separators_and_names_that_begin_with_a_hash(write):
    plain = "drug;well\n# a remark\n#17;A1\nx;A2\n"
    assert read_plate_map(write("sep=;\n" + plain))["compound"].to_list() == ["#17", "x"]
    first = '# from the robot, plate 3\nwell,drug\n#A1,x\nA2,#17\n\nA3,5" y\n'
    frame = read_plate_map(write(first))
    assert frame.select("well", "compound").rows() == [("A02", "#17"), ("A03", '5" y')]
    with pytest.raises(PlateMapError, match="row 4: 'Q' is no well"):
        read_plate_map(write("# one\nwell,drug\n# two\nQ,x\n"))


def test_text_in_no_known_encoding_is_refused(tmp_path):
    path = tmp_path / "map.csv"
    path.write_bytes(b"well,drug\nA1,\x81x\n")
    with pytest.raises(PlateMapError, match="line 2 is in an encoding that is not known; save it as UTF-8"):
        read_plate_map(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<?xml version="1.0" encoding="utf8-sig"?><plateMap/>', "not valid XML: unknown encoding: utf8-sig"),
        ('<?xml version="1.0" encoding="utf-32"?><plateMap/>', "not valid XML: "),
        (f"<plateMap><wellStore><wells><well row='{'9' * 5000}'/></wells></wellStore></plateMap>", "a well has row="),
    ],
)  # fmt: skip
def test_whatever_an_xml_parser_raises_is_one_line(write, text, message):
    with pytest.raises(PlateMapError, match=message) as caught:
        read_plate_map(write(text, "lab.PlateMap"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["leer", "Vide", "Ohne Zellen", "sin células", "tyhjä", "vuoto", "No cells"])
def test_wells_without_cells_are_empty_in_other_languages_too(write, name):
    path = write(f"well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,{name},,\nA3,X,1,uM\n")
    found = read_plate_map(path, "P1")
    assert found.filter(pl.col("well") == "A02")["role"].to_list() == ["empty"]
