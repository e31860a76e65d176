"""Plate maps of every format; units, roles, aliases and condition ids; what is refused."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoassets.errors import PlateMapError
from phenoassets.incucyte import ControlRules, condition_id, read_plate_map
from phenoassets.incucyte.plate_maps.conditions import Item, canonical_unit, micromolar
from phenoassets.store.schemas import TABLES

COMPOUNDS = pl.DataFrame(
    {
        "alias": ["Etoximir", "17273", "Taxol", "Cisplatin"],
        "canonical": ["Etomoxir", "PDD 00017273", "Paclitaxel", "Cisplatin"],
        "cas": [None, None, None, "15663-27-1"],
        "moa": ["CPT1 inhibitor", "PARG inhibitor", "tubulin", "DNA"],
        "solvent": ["water", "DMSO", "DMSO", None],
    }
)


def text_map(tmp_path, text, name="map.csv", encoding="utf-8", **options):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return TABLES["plate_maps"].validate(read_plate_map(path, "P1", **options))


def xml_map(tmp_path, *wells, **options):
    body = "\n".join(wells)
    path = tmp_path / "map.PlateMap"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?><plateMap><wellStore><wells>{body}</wells></wellStore></plateMap>',
        encoding="utf-8-sig",
    )
    return TABLES["plate_maps"].validate(read_plate_map(path, "P1", **options))


def item(kind, name, display=None, **attributes):
    extra = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return (
        f'<wellItem type="{kind}" {extra}><referenceItem type="{kind}" description="{name}" '
        f'displayName="{display or name}" colorArgb="-1"/></wellItem>'
    )


def well(row, col, *items):
    return f'<well row="{row}" col="{col}"><items>{"".join(items)}</items></well>'


# --- The real files ---


def test_the_real_xml_map_has_60_filled_wells_of_96(shared):
    frame = TABLES["plate_maps"].validate(read_plate_map(shared / "plate_maps" / "example.PlateMap", "P1"))
    assert dict(frame["role"].value_counts().rows()) == {"empty": 36, "negative_control": 10, "treatment": 50}
    assert frame.filter(pl.col("well") == "B02").row(0, named=True) == {
        "plate": "P1",
        "well": "B02",
        "row": 2,
        "column": 2,
        "role": "negative_control",
        "condition_id": "unspecified|DMSO@0.1 %|growth_condition=8 x 10e4/mL",
        "cell_line": "unspecified",
        "control_group": "unspecified|growth_condition=8 x 10e4/mL",
        "compound": "DMSO",
        "concentration": 0.1,
        "concentration_unit": "%",
        "concentration_um": None,
        "source_concentration": 0.1,
        "moa": None,
        "solvent": None,
        "growth_condition": "8 x 10e4/mL",
        "seeding_density": None,
        "passage": None,
        "items": [{"compound": "DMSO", "concentration": 0.1, "concentration_unit": "%"}],
    }
    last = frame.filter(pl.col("well") == "G11").row(0, named=True)
    assert last["condition_id"] == "unspecified|PDD00017273@0.37037 µM|growth_condition=1 x 10e4/mL"
    assert last["concentration_um"] == pytest.approx(10 / 27, rel=1e-11)
    assert frame["well"].to_list()[:2] == ["A01", "A02"]


def test_the_flat_map_of_the_same_lab_gives_the_same_conditions(shared):
    xml = read_plate_map(shared / "plate_maps" / "example.PlateMap", "P1")
    flat = read_plate_map(shared / "plate_maps" / "example_platemap.txt", "P1")
    same = ["well", "row", "column", "role", "condition_id", "cell_line", "compound", "concentration_unit"]
    assert flat.select(same).equals(xml.select(same))


def test_the_real_384_well_layout_has_16_drugs_at_5_doses_in_4_wells(shared):
    path = shared / "plate_maps" / "randomized_layout_1MSP_batch2.xls"
    frame = TABLES["plate_maps"].validate(read_plate_map(path, "P1", "ACHN", dilution=0.1))
    assert dict(frame["role"].value_counts().rows()) == {"empty": 32, "negative_control": 32, "treatment": 320}
    treated = frame.filter(pl.col("role") == "treatment").group_by("condition_id", "compound").len()
    assert treated.height == 80
    assert set(treated["len"]) == {4}
    assert treated["compound"].n_unique() == 16
    erlotinib = frame.filter(pl.col("compound") == "Erlotinib")
    assert set(erlotinib["condition_id"]) == {
        f"ACHN|Erlotinib@{dose} µM" for dose in ("0.0011", "0.011", "0.11", "1.1", "11")
    }
    assert erlotinib["source_concentration"].max() == pytest.approx(110)
    assert erlotinib["concentration_um"].max() == 11.0


# --- XML ---


def test_two_compounds_in_one_well_are_a_combination_in_sorted_order(tmp_path):
    taxol = item("Compound", "Taxol", concentration="100", concentrationUnits="nM")
    cisplatin = item("Compound", "Cisplatin", concentration="10", concentrationUnits="µM")
    cells = item("CellType", "A549", passage="7", seedingDensity="3000")
    frame = xml_map(tmp_path, well(0, 0, taxol, cells, cisplatin), well(0, 1, cisplatin, taxol), cell_line="HeLa")
    first, second = frame.to_dicts()
    assert first["condition_id"] == "A549|Cisplatin@10 µM + Taxol@0.1 µM"
    assert second["condition_id"] == "HeLa|Cisplatin@10 µM + Taxol@0.1 µM"
    assert (first["compound"], first["concentration"], first["concentration_um"]) == ("Cisplatin + Taxol", None, None)
    assert first["items"] == [
        {"compound": "Cisplatin", "concentration": 10.0, "concentration_unit": "µM"},
        {"compound": "Taxol", "concentration": 0.1, "concentration_unit": "µM"},
    ]
    assert (first["role"], first["cell_line"], first["seeding_density"]) == ("treatment", "A549", 3000.0)


def test_a_vehicle_beside_a_drug_is_its_solvent_and_no_part_of_the_condition(tmp_path):
    dmso = item("Compound", "DMSO", concentration="0.1", concentrationUnits="%")
    drug = item("Compound", "Drug", concentration="1", concentrationUnits="µM")
    row = xml_map(tmp_path, well(2, 3, dmso, drug)).row(0, named=True)
    assert (row["well"], row["role"], row["condition_id"]) == ("C04", "treatment", "unspecified|Drug@1 µM")
    assert (row["solvent"], row["concentration_um"]) == ("DMSO", 1.0)
    assert [entry["compound"] for entry in row["items"]] == ["DMSO", "Drug"]


def test_an_alias_may_be_the_display_name_and_brings_moa_and_solvent(tmp_path):
    drug = item("Compound", "PDD00017273", display="17273", concentration="30", concentrationUnits="µM")
    row = xml_map(tmp_path, well(0, 0, drug), compounds=COMPOUNDS).row(0, named=True)
    assert (row["compound"], row["moa"], row["solvent"]) == ("PDD 00017273", "PARG inhibitor", "DMSO")


@pytest.mark.parametrize(
    ("wells", "message"),
    [
        (['<well row="32" col="0"/>'], "row='32'; rows are 0 to 31"),
        (['<well row="0" col="48"/>'], "col='48'"),
        (['<well row="-1" col="0"/>'], "row='-1'"),
        (['<well col="0"/>'], "row=''"),
        ([well(0, 0), well(0, 0)], "well A01 stands there twice"),
        ([well(0, 0, item("Antidote", "x"))], "unknown item type 'Antidote'; known are Compound"),
        ([well(0, 0, '<wellItem type="Compound"/>')], "a compound without description or displayName"),
        ([well(0, 0, item("Compound", "x", concentration="much"))], "concentration is 'much'"),
        ([well(0, 0, item("Compound", "x", concentration="-1"))], "concentration is '-1'"),
        ([well(0, 0, item("Compound", "x", concentration="1", concentrationUnits="spoons"))], "unknown unit 'spoons'"),
        ([well(1, 2, item("Compound", "x"), item("Compound", "x"))], "row=1 col=2: x is in the well twice"),
        ([well(0, 0, item("Compound", "a|b"))], r"the compound 'a\|b' holds '\|'; rename it"),
        ([], "holds no wells"),
    ],
)
def test_xml_that_cannot_be_meant_is_refused_with_the_place(tmp_path, wells, message):
    with pytest.raises(PlateMapError, match=message):
        xml_map(tmp_path, *wells)


def test_xml_with_entities_or_another_root_or_cut_short_is_refused(tmp_path):
    path = tmp_path / "map.PlateMap"
    bomb = '<!DOCTYPE plateMap [<!ENTITY a "b">]><plateMap>&a;</plateMap>'
    for text, message in (
        (bomb, "not valid XML"),
        ("<html></html>", "expected <plateMap>"),
        ("<plateMap><we", "not valid"),
    ):
        path.write_text(text)
        with pytest.raises(PlateMapError, match=message):
            read_plate_map(path)


# --- Tables ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize(
    "text",
    [
        'Well,Drug,Concentration (µM)\nB2,Taxol,"0,5"\nA1,DMSO 0.1%,\n',
        "well;compound;dose;unit\nB02;Taxol;0,5;µM\nA01;DMSO 0.1%;;\n",
        "# from the robot\n\nRow\tCol\tTreatment\tConc\tconcunits\n2\t2\tTaxol\t0.5\tuM\n1\t1\tDMSO 0.1%\tNA\tNA\n",
        "row,column,sampleid,final_conc_nM\nB,2,Taxol,500\nA,1,DMSO 0.1%,\n",
    ],
)
def test_flat_maps_of_many_spellings_say_the_same(tmp_path, text, encoding):
    frame = text_map(tmp_path, text, encoding=encoding)
    assert frame.select("well", "role", "condition_id").rows() == [
        ("A01", "negative_control", "unspecified|DMSO 0.1%"),
        ("B02", "treatment", "unspecified|Taxol@0.5 µM"),
    ]


@pytest.mark.parametrize("text", ['well,drug,conc_uM\nA1,x,"0,125"\n', "well;drug;conc_uM\nA1;x;1,125\nA2;x;0,5\n"])
def test_a_decimal_comma_with_three_places_is_one_where_the_file_says_so(tmp_path, text):
    assert text_map(tmp_path, text)["concentration"][0] in (0.125, 1.125)


def test_rows_and_columns_of_one_well_are_a_combination(tmp_path):
    rows = text_map(tmp_path, "well,drug,conc_uM\nA1,B,2\nA1,A,1\n")
    columns = text_map(tmp_path, "well,drug,conc_uM,drug_2,conc_2,unit_2\nA1,B,2,A,1000,nM\n")
    cells = text_map(tmp_path, "well,drug,conc,unit\nA1,B + A,2 + 1,uM\n")
    for frame in (rows, columns, cells):
        assert frame["condition_id"].to_list() == ["unspecified|A@1 µM + B@2 µM"]


def test_cell_lines_of_wells_beat_the_plates_and_names_may_be_aliases(tmp_path):
    frame = text_map(
        tmp_path,
        "well,drug,conc_uM,cell_line\nA1,etoximir,1,\nA2,ETOMOXIR,1,A549\n",
        cell_line="HeLa",
        compounds=COMPOUNDS,
    )
    assert frame["condition_id"].to_list() == ["HeLa|Etomoxir@1 µM", "A549|Etomoxir@1 µM"]
    assert set(frame["moa"]) == {"CPT1 inhibitor"}


def test_dmso_at_several_concentrations_is_one_control_each_and_a_pattern_may_take_one(tmp_path):
    text = "well,drug,conc_uM\nA1,DMSO,367\nA2,DMSO,36.7\nA3,Taxol,1\n"
    frame = text_map(tmp_path, text)
    assert frame["role"].to_list() == ["negative_control", "negative_control", "treatment"]
    assert frame["condition_id"].n_unique() == 3
    rules = ControlRules(negative="^DMSO 367 ", positive="(?i)taxol")
    assert text_map(tmp_path, text, controls=rules)["role"].to_list() == [
        "negative_control",
        "treatment",
        "positive_control",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "DMSO",
        "dmso",
        "DMSO 0.1%",
        "DMSO_100mM",
        "DMSO0.1%",
        "PBS",
        "Vehicle",
        "untreated",
        "control",
        "Medium only",
        "Neg. ctrl",
    ],
)
def test_a_usual_control_is_known_by_name(tmp_path, name):
    assert text_map(tmp_path, f"well,drug\nA1,{name}\n")["role"].to_list() == ["negative_control"]


@pytest.mark.parametrize("name", ["MEDICA 16", "DMSOx", "Controlamide", "17-AAG", "Pbsitrin", "Mediator"])
def test_a_drug_that_begins_like_a_control_is_none(tmp_path, name):
    assert text_map(tmp_path, f"well,drug\nA1,{name}\n")["role"].to_list() == ["treatment"]


def test_roles_of_the_map_come_before_patterns(tmp_path):
    text = (
        "well,drug,conc_uM,samptype\nA1,Water,,C\nA2,DMSO,1,S\nA3,-,,B\nA4,Staurosporine,1,positive_control\n"
        "A5,,,\nA6,empty,0,blank\n"
    )
    roles = text_map(tmp_path, text)["role"].to_list()
    assert roles == ["negative_control", "treatment", "empty", "positive_control", "empty", "empty"]


def test_a_treated_well_without_a_dose_still_has_a_condition(tmp_path):
    frame = text_map(tmp_path, "well,drug,conc,unit\nA1,Serum,,\nA2,Asparaginase,6.6e-4,units/uL\nA3,Ratio,2,\n")
    assert frame["condition_id"].to_list() == [
        "unspecified|Serum",
        "unspecified|Asparaginase@0.00066 units/µL",
        "unspecified|Ratio@2",
    ]
    assert frame["concentration_um"].null_count() == 3


def test_a_file_for_several_plates_gives_the_rows_of_the_one_that_is_asked_for(tmp_path):
    text = "plate,well,drug\nP1,A1,X\nP2,A1,Y\n"
    assert text_map(tmp_path, text)["compound"].to_list() == ["X"]
    path = tmp_path / "map.csv"
    with pytest.raises(PlateMapError, match="for the plates P1, P2; none of them is 'P3'"):
        read_plate_map(path, "P3")
    with pytest.raises(PlateMapError, match="say which one is meant"):
        read_plate_map(path)
    path.write_text("plate,well,drug\nZu\u0308rich,A1,X\nP2,A1,Y\n", encoding="utf-8")  # as macOS writes it
    assert read_plate_map(path, "Z\u00fcrich")["compound"].to_list() == ["X"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("well,drug,temperature\nA1,x,37\n", "unknown column 'temperature'; known are well, row, column"),
        ("well,drug,ph,mood\nA1,x,7,fine\n", "unknown columns 'ph', 'mood'"),
        ("well,conc_uM\nA1,1\n", "column compound .* is missing"),
        ("drug\nx\n", "a column well, or the columns row and column, are missing"),
        ("row,drug\n1,x\n", "row and column, are missing"),
        ("well,drug,treatment\nA1,x,y\n", "'drug' and 'treatment' both say compound"),
        ("well,position,drug\nA1,A1,x\n", "'well' and 'position' both say well"),
        ("well,drug,conc_2\nA1,x,1\n", "concentration or unit 2 has no column compound_2"),
        ("well,drug\nA49,x\n", "row 2: 'A49' is no well"),
        ("well,drug\n\nA1,x\nQQ,y\n", "row 4: 'QQ' is no well"),
        ("row,column,drug\n0,1,x\n", "row '0', column '1' is no well"),
        ("well,drug,conc_uM\nA1,x,lots\n", "row 2: concentration is 'lots'; write a number"),
        ("well,drug,conc_uM\nA1,x,-3\n", "concentration is '-3'"),
        ("well;drug;conc_uM\nA1;x;1,125\n", "row 2: concentration is '1,125'; .* this one is 1.125 or 1125"),
        ('well,drug,conc_nM\nA1,x,1\nA2,x,"1,000"\n', r"map\.csv: row 3: concentration is '1,000'; .* without thousa"),
        ('well,drug,conc_nM\nA1,x + y,"2 + 10,000"\n', "row 2: concentration is '10,000'; .* is 10 or 10000"),
        ('well,drug,seeding_density\nA1,x,"5,000"\n', "row 2: seeding density is '5,000'; .* without thousands"),
        ("well,drug,conc_uM\nA1,,3\n", r"a concentration \(3\) without a compound"),
        ("well,drug,conc,unit\nA1,x,1,pinch\n", "row 2: unknown unit 'pinch'"),
        ("well,drug,role\nA1,x,hero\n", "unknown role 'hero'; known are treatment"),
        ("well,drug,role\nA1,x,empty\n", "said to be empty and has a compound"),
        ("well,drug,role\nA1,,treatment\n", "is a treatment without a compound"),
        ("well,drug,control\nA1,x,maybe\n", "control is 'maybe'; write 1 or 0"),
        ("well,drug\nA1,x\nA01,x\n", "x is in the well twice"),
        ("well,drug\nA1,x\nA1,\n", "one well, and one of them is empty"),
        ("well,drug,cell_line\nA1,x,HeLa\nA1,y,A549\n", "two entries of cell_lines"),
        ("well,drug,conc\nA1,x + y,1\n", "'x \\+ y' has 2 compounds and the concentration '1'"),
        ("well,drug,cell_line\nA1,x,a|b\n", "the cell line 'a|b' holds"),
        ("well,drug\n", "has a header and no wells"),
        ("   \n", "is empty"),
    ],
)
def test_a_flat_map_that_cannot_be_meant_is_refused_with_place_and_remedy(tmp_path, text, message):
    with pytest.raises(PlateMapError, match=message):
        text_map(tmp_path, text)


def test_a_missing_file_a_damaged_spreadsheet_and_a_bad_dilution_are_refused(tmp_path):
    with pytest.raises(PlateMapError, match="cannot be read: No such file"):
        read_plate_map(tmp_path / "gone.csv")
    broken = tmp_path / "map.xlsx"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(PlateMapError, match="cannot be read as a spreadsheet"):
        read_plate_map(broken)
    with pytest.raises(PlateMapError, match="dilution is 0"):
        text_map(tmp_path, "well,drug\nA1,x\n", dilution=0)
    with pytest.raises(PlateMapError, match="no regular expression"):
        ControlRules(negative="(")


def test_a_dilution_of_a_tenth_and_of_ten_mean_the_same(tmp_path):
    text = "well,drug,conc_uM\nA1,x,110.00000000000001\n"
    for dilution in (0.1, 10):
        row = text_map(tmp_path, text, dilution=dilution).row(0, named=True)
        assert (row["concentration"], row["source_concentration"]) == (11.0, 110.00000000000001)


# --- Units and conditions ---


@pytest.mark.parametrize(
    ("text", "unit", "factor"),
    [
        ("uM", "µM", 1),
        ("µM", "µM", 1),
        ("\u03bcM", "µM", 1),
        ("um", "µM", 1),
        ("umol/L", "µM", 1),
        ("nM", "µM", 1e-3),
        ("pM", "µM", 1e-6),
        ("mM", "µM", 1e3),
        ("M", "µM", 1e6),
        ("%", "%", 1),
        ("% (v/v)", "%", 1),
        ("mg/mL", "mg/mL", 1),
        ("mg/ml", "mg/mL", 1),
        ("ug/ml", "µg/mL", 1),
        ("ng/mL", "ng/mL", 1),
        ("units/uL", "units/µL", 1),
        ("U/mL", "units/mL", 1),
        ("units per mL", "units/mL", 1),
        ("cells/mL", "cells/mL", 1),
        ("cells/well", "cells/well", 1),
        ("Gy", "Gy", 1),
    ],
)
def test_a_unit_has_one_spelling_and_molar_units_are_micromolar(text, unit, factor):
    assert canonical_unit(text) == (unit, factor)


@pytest.mark.parametrize("text", ["m", "spoons", "mg/spoon", "", "µ"])
def test_an_unknown_unit_is_refused(text):
    with pytest.raises(PlateMapError, match="unknown unit"):
        canonical_unit(text)


def test_only_molar_concentrations_are_micromolar():
    assert micromolar(Item("x", 2.0, "µM")) == 2.0
    assert micromolar(Item("x", 2.0, "%")) is None


@given(
    st.lists(
        st.builds(Item, st.text("abcXYZ ", min_size=1), st.none() | st.floats(1e-9, 1e9), st.sampled_from(["µM", "%"])),
        min_size=1,
        max_size=4,
    ),
    st.randoms(),
)
def test_a_condition_does_not_depend_on_the_order_of_its_compounds(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    assert condition_id("HeLa", shuffled) == condition_id("HeLa", items)


@given(st.floats(1e-9, 1e9))
def test_float_noise_does_not_make_another_condition(value):
    rounded = float(f"{value:.6g}")
    noisy = Item("x", rounded * (1 + 2e-16), "µM")
    assert condition_id("HeLa", [noisy]) == condition_id("HeLa", [Item("x", rounded, "µM")])


def test_our_own_table_written_as_csv_is_read_back_as_it_was(tmp_path, shared):
    frame = read_plate_map(shared / "plate_maps" / "example.PlateMap", "P1", "HeLa")
    path = tmp_path / "ours.csv"
    frame.drop("items").write_csv(path)
    given = ["items", "source_concentration"]  # the concentration to twelve digits is what ours now start from
    assert read_plate_map(path, "P1").drop(given).equals(frame.drop(given))


def test_a_name_broken_over_two_lines_of_its_cell_is_the_same_name(tmp_path):
    text = 'well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,"Drug\nX",1,uM\nA3,Drug  X,1,uM\nA4,Drug X,1,uM\n'
    found = text_map(tmp_path, text)
    assert found.filter(pl.col("role") == "treatment")["condition_id"].unique().to_list() == ["unspecified|Drug X@1 µM"]


@pytest.mark.parametrize("first", ["", "Compound"])
def test_a_grid_of_the_plate_is_refused_as_such(tmp_path, first):
    with pytest.raises(PlateMapError, match=r"a grid with the plate's columns 1 to 3 in its header; write one row"):
        text_map(tmp_path, f"{first},1,2,3\nA,DMSO,X,Y\nB,DMSO,X,Y\n")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("#NV", "an error value"), ("#WERT!", "an error value"), ("#¡DIV/0!", "an error value"),
        ("#¿NOMBRE?", "an error value"), ("#ARVO!", "an error value"), ("WAHR", "a truth value"),
        ("TRUE", "a truth value"), ("VRAI", "a truth value"), ("2-Sep", "a date"), ("01.09.2026", "a date"),
        ("9/2/2026", "a date"), ("2026-09-02 00:00:00", "a date"), ("Mrz-01", "a date"), ("02-Sep-26", "a date"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_made_of_a_name_is_refused_in_text_too(tmp_path, name, what):
    with pytest.raises(PlateMapError, match=rf"row 3: compound is {what} \(.*which a spreadsheet made of it"):
        text_map(tmp_path, f"well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,{name},1,uM\n")
    with pytest.raises(PlateMapError, match=rf"cell_line is {what}"):
        text_map(tmp_path, f"well,compound,cell_line\nA1,DMSO,{name}\n")


@pytest.mark.parametrize(
    "name",
    [
        "#17",
        "50-00-0",
        "1976-12-3",
        "SEPT2",
        "March-1 inhibitor",
        "true north",
        "AT-13-148",
        "May-Grünwald",
        "9/2",
        "SN-38",
    ],
)
def test_names_that_look_a_little_like_it_are_read(tmp_path, name):
    found = text_map(tmp_path, f"well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,{name},1,uM\n")
    assert found["condition_id"].to_list()[1] == f"unspecified|{name}@1 µM"


@pytest.mark.parametrize(("unit", "fine"), [("nM", False), ("%", False), ("uM", True), ("µM", True), ("", True)])
def test_a_unit_that_contradicts_the_columns_name_is_refused(tmp_path, unit, fine):
    text = f"well,compound,concentration_uM,unit\nA1,DMSO,,\nA2,X,5,{unit}\n"
    if fine:
        assert text_map(tmp_path, text)["condition_id"].to_list()[1] == "unspecified|X@5 µM"
        return
    with pytest.raises(
        PlateMapError, match=rf"row 3: the unit is '{unit}' and the column is called 'concentration_uM'"
    ):
        text_map(tmp_path, text)
