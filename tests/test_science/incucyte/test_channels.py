"""Which channel an image is of, where names, folders and plates.csv say different things or too little."""

import pytest

from phenoassets.errors import ExportError
from phenoassets.incucyte import find_images


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def channels(folder, channel=None):
    return dict(find_images(folder, channel).select("prefix", "channel").unique().rows())


@pytest.mark.parametrize("prefix", ["MCF7_NucLight-Orange", "Green_lab", "VID3_red"])
def test_a_channel_word_that_stands_alone_is_never_believed(tmp_path, prefix):
    put(tmp_path / "P7", f"{prefix}_A1_1_00d00h00m.tif", f"{prefix}_A2_1_00d02h00m.tif")
    with pytest.raises(ExportError, match=r"plate P7: .* under channel in the row P7 of plates\.csv") as caught:
        find_images(tmp_path / "P7")
    assert prefix in str(caught.value)
    assert channels(tmp_path / "P7", "phase") == {prefix: "phase"}
    assert channels(tmp_path / "P7", "red") == {prefix: "red"}


def test_another_channel_of_the_same_wells_shows_that_a_word_is_meant(tmp_path):
    put(tmp_path, "V_red_A1_1_00d00h00m.tif", "V_phase_A1_1_00d00h00m.tif")
    assert channels(tmp_path) == {"V_red": "red", "V_phase": "phase"}


def test_wells_of_other_names_show_nothing(tmp_path):
    put(tmp_path, "HT29_NucLightRed_A1_1_00d00h00m.tif", "A549_B1_1_00d00h00m.tif")
    with pytest.raises(ExportError, match="HT29_NucLightRed"):
        find_images(tmp_path)


def test_a_word_for_phase_and_a_folder_need_no_company(tmp_path):
    put(tmp_path / "one", "V_PhaseOriginal_A1_1_00d00h00m.tif")
    assert channels(tmp_path / "one") == {"V_PhaseOriginal": "phase"}
    put(tmp_path / "two", "red/NucLightRed_A1_1_00d00h00m.tif")
    assert channels(tmp_path / "two") == {"NucLightRed": "red"}


def test_words_that_all_prefixes_share_belong_to_the_project_once_plates_csv_names_the_rest(tmp_path):
    put(tmp_path, "HT29_NucLightRed_A1_1_00d00h00m.tif", "HT29_NucLightRed_green_A1_1_00d00h00m.tif")
    assert channels(tmp_path, "phase") == {"HT29_NucLightRed": "phase", "HT29_NucLightRed_green": "green"}
