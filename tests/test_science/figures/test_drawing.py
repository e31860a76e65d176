"""Pictures: what is drawn is right, readable, small and the same every time; awkward input is drawn too."""

import io
import itertools
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.cluster.hierarchy import linkage
from skimage.color import deltaE_ciede2000, rgb2lab

from phenoassets.figures.drawing import answers, curves, images, likeness, maps, plates, style
from phenoassets.store.schemas import EFFECTS, ROLES

COMPOUNDS = ("Bortazolid", "Gemvitabine", "Nulvastat", "Torvasertib")
KINDS = ("cytotoxic", "cytostatic", "none", "mixed")
DOSES = (0.1, 1.0, 10.0)


def wells_frame(compounds=COMPOUNDS):
    rows = []
    treated = itertools.cycle([(c, d) for c in compounds for d in DOSES])
    for row, column in itertools.product(range(1, 5), range(1, 7)):
        well = {"row": row, "column": column, "cell_line": "A172", "role": "treatment", "concentration_unit": "µM"}
        if column == 1:
            well |= {"role": "negative_control", "compound": "DMSO", "concentration": 0.1, "concentration_unit": "%"}
        elif (row, column) == (1, 2):
            well |= {"role": "empty", "compound": None, "concentration": None, "concentration_unit": None}
        elif (row, column) == (2, 2):
            well |= {"role": "positive_control", "compound": "Staurolide", "concentration": 1.0}
        else:
            compound, dose = next(treated)
            well |= {"compound": compound, "concentration": dose}
        rows.append(well)
    return pl.DataFrame(rows, infer_schema_length=None)


def quality_frames(seed=0):
    rng = np.random.default_rng(seed)
    wells = wells_frame().select("row", "column")
    n = wells.height
    wells = wells.with_columns(
        pl.Series("focus_slope", rng.normal(-2, 0.1, n)),
        pl.Series("flagged", rng.uniform(0, 0.2, n)),
        pl.Series("confluence", rng.uniform(0.2, 0.9, n)),
    )
    hours = np.arange(-4.0, 40.0, 4.0)
    scans = pl.DataFrame({"hours": hours, "kept": [20] * 11, "flagged": [3] * 11, "missing": [1] * 11})
    return wells, scans


def curves_frame(compounds=COMPOUNDS, lines=("A172",), seed=0):
    rng = np.random.default_rng(seed)
    hours = np.arange(-4.0, 60.0, 4.0)
    after = np.clip(hours, 0, None)
    shapes = {
        "cytotoxic": after / 20,
        "cytostatic": after / 10 * np.exp(-((after / 30) ** 2)),
        "none": 0 * after,
        "mixed": after / 12 * np.exp(-((after / 25) ** 2)) + after / 40,
    }
    frames = []
    for line, (i, compound), dose in itertools.product(lines, enumerate(compounds), DOSES):
        kind = KINDS[i % 4]
        distance = 0.2 + shapes[kind] * dose / 10 + rng.uniform(0, 0.02, len(hours))
        frame = pl.DataFrame({"hours": hours, "distance": distance, "value": distance / 3})
        frames.append(
            frame.with_columns(
                low=pl.col("distance") * 0.9,
                high=pl.col("distance") * 1.1,
                null_high=pl.lit(0.4),
                confluence=0.2 + 0.01 * pl.Series(after),
                control_confluence=0.2 + 0.012 * pl.Series(after),
                control_std=pl.lit(0.03),
                condition_id=pl.lit(f"{line}|{compound}@{dose:g} µM"),
                cell_line=pl.lit(line),
                compound=pl.lit(compound),
                concentration=pl.lit(dose),
                concentration_unit=pl.lit("µM"),
                cluster=pl.lit(i % 4, pl.Int32),
                cluster_effect=pl.lit(kind),
                effect=pl.lit(kind if dose > 0.1 else "none"),
            )
        )
    return pl.concat(frames)


def conditions_frame(compounds=COMPOUNDS, lines=("A172", "HT29")):
    rows = []
    for line, (i, compound), dose in itertools.product(lines, enumerate(compounds), DOSES):
        effect = None if (line, dose, i) == ("HT29", 1.0, 0) else KINDS[i % 4] if dose > 0.1 else "none"
        rows.append(
            {
                "condition_id": f"{line}|{compound}@{dose:g} µM",
                "cell_line": line,
                "compound": compound,
                "concentration": dose,
                "concentration_unit": "µM",
                "effect": effect,
                "score_mean": dose - i,
                "strong": dose - i > 5,
            }
        )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.with_columns(pl.col("score_mean").rank("ordinal", descending=True).cast(pl.Int32).alias("rank"))


def map_frame(n=60, seed=0):
    rng = np.random.default_rng(seed)
    compound = [None if i % 5 == 0 else COMPOUNDS[i % 4] for i in range(n)]
    frame = pl.DataFrame(
        {
            "umap_1": rng.normal(size=n),
            "umap_2": rng.normal(size=n),
            "cluster": rng.integers(-1, 4, n),
            "role": ["negative_control" if c is None else "treatment" for c in compound],
            "compound": compound,
            "effect": [None if c is None else KINDS[COMPOUNDS.index(c)] for c in compound],
            "cell_line": ["A172"] * n,
            "plate": ["P1" if i % 2 else "P2" for i in range(n)],
        }
    )
    points = {f"{when}_{axis}": rng.normal(size=n) for when in ("before", "after") for axis in (1, 2)}
    distances = {f"{when}_distance": rng.lognormal(size=n) for when in ("before", "after")}
    return frame.with_columns(pl.Series(name, values) for name, values in (points | distances).items())


def cells(seed=0, shape=(52, 70)):
    return np.random.default_rng(seed).integers(90, 160, shape).astype(np.uint8)


def light(shape=(52, 70)):
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    function = 1.1 - 0.2 * (x**2 + y**2)
    return (function / function.mean()).astype(np.float32)


def draw_embeddings():
    rng = np.random.default_rng(0)
    roles = pl.Series(["negative_control", "treatment", "empty", "positive_control"] * 10)
    hours = np.where(np.arange(40) % 7 == 0, np.nan, np.arange(40.0))
    points = rng.normal(size=(40, 2))
    return maps.embedding_map(points, roles, hours, explained=(0.4, 0.1), time_label="hours after treatment")


def draw_strip():
    curve = curves_frame().filter(pl.col("condition_id") == "A172|Bortazolid@10 µM")
    return images.strip(
        [[cells(i) for i in range(4)], [cells(9), None, cells(10), cells(11)]],
        ["B03\nBortazolid", "A01\nDMSO"],
        [0.0, 12.0, 24.0, 48.0],
        curve,
        title="A172 · Bortazolid 10 µM",
        effect="cytotoxic",
        onset_hours=5.5,
        x_label="hours after treatment",
    )


def draw_profiles():
    z = np.random.default_rng(0).normal(size=(24, 40))
    order = wells_frame().filter(pl.col("role") != "empty").sort("role", "compound", nulls_last=True)
    return answers.profile_heatmap(z[: order.height], order)


def alignments():
    up, late = np.linspace(0, 1, 9), np.linspace(0, 1, 9) ** 3
    pairs = np.stack([np.arange(9), np.arange(9)], axis=1)
    return [
        likeness.Alignment(0, "cytotoxic", "A549 · x 1 µM", "cytotoxic", up, late, pairs, 0.4),
        likeness.Alignment(3, None, "$" * 60, None, late[:7], up[:7], pairs[:7], 12.0),
    ]


def draw_warping():
    hours = np.arange(9.0)
    return likeness.warping(alignments(), hours, title="Warping", note="", x_label="hours", y_label="distance")


def draw_tree(n=7):
    rng = np.random.default_rng(0)
    tree = linkage(rng.normal(size=(n, 3)), "average")
    leaves = [likeness.Leaf(f"A549 · x {i} µM", i % 3 - 1, ["cytotoxic", "none", None][i % 3]) for i in range(n)]
    return likeness.dendrogram(tree, leaves, title="Tree", note="", y_label="DTW distance")


PICTURES = {
    "plate map": lambda: plates.plate_map(wells_frame()),
    "quality": lambda: plates.quality(*quality_frames(), x_label="hours after treatment"),
    "contact sheet": lambda: images.contact_sheet(
        [[cells(1), cells(2)], [cells(3), None]], ["A01", "A02"], ["0 h", "4 h"], um_per_pixel=1.24
    ),
    "before and after": lambda: images.before_after(
        [[cells(1), None]], [[cells(2, (32, 32)), cells(3, (32, 32))]], ["A01"], ["0 h", "4 h"]
    ),
    "illumination": lambda: images.illumination({"phase": light(), "green": np.ones((40, 40), np.float32)}),
    "strip": draw_strip,
    "growth": lambda: curves.growth(curves_frame(), x_label="hours after treatment"),
    "distances": lambda: curves.distances(curves_frame(), x_label="hours after treatment", y_label="distance"),
    "clusters": lambda: curves.clusters(curves_frame(), x_label="hours after treatment", y_label="distance"),
    "warping": draw_warping,
    "tree": draw_tree,
    "large tree": lambda: draw_tree(150),
    "embedding map": draw_embeddings,
    "sphering": lambda: maps.sphering(map_frame()),
    "phenotype map": lambda: maps.phenotype_map(map_frame()),
    "ranked treatments": lambda: answers.ranked_treatments(conditions_frame()),
    "effect matrix": lambda: answers.effect_matrix(conditions_frame()),
    "effect frequency": lambda: answers.effect_frequency(conditions_frame()),
    "profiles": draw_profiles,
    "notice": lambda: style.notice("The picture could not be drawn", "ValueError: 3 $ of _names ^ " * 9),
}


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def count_of(png, colour):
    """Pixels of exactly this colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((opened(png) == wanted).all(axis=2).sum())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_small_png_on_white_that_fits_a_panel(name):
    png = PICTURES[name]()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 200_000
    pixels = opened(png)
    height, width, _ = pixels.shape
    assert 500 <= width <= 1200
    assert 100 <= height <= 1600
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert (pixels != 255).any(axis=2).mean() > 0.01


@pytest.mark.parametrize("name", ["plate map", "distances", "phenotype map", "strip"])
def test_the_same_input_gives_the_same_bytes(name):
    assert PICTURES[name]() == PICTURES[name]()


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
COLOUR_VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def as_seen(colour, matrix):
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(matrix) @ linear, 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)[None, None])[0, 0]


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_effects_can_be_told_apart_whatever_the_colour_vision(vision):
    seen = [as_seen(colour, COLOUR_VISION[vision]) for colour in (*style.EFFECT_COLOURS.values(), "#FFFFFF")]
    assert min(float(deltaE_ciede2000(a, b)) for a, b in itertools.combinations(seen, 2)) > 15


def test_every_effect_and_role_of_the_schema_has_a_colour():
    assert set(style.EFFECT_COLOURS) == set(EFFECTS)
    assert set(style.ROLE_COLOURS) == set(style.ROLE_NAMES) == set(ROLES)


@pytest.mark.parametrize("draw", [answers.effect_matrix, answers.effect_frequency, answers.ranked_treatments])
@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_has_its_own_colour_in_every_picture_and_no_other(draw, effect):
    rows = conditions_frame(("Bortazolid",), ("A172",)).with_columns(pl.lit(effect).alias("effect"))
    png = draw(rows)
    assert count_of(png, style.EFFECT_COLOURS[effect]) > 500
    others = set(style.EFFECT_COLOURS.values()) - {style.EFFECT_COLOURS[effect]}
    assert not any(count_of(png, colour) > 100 for colour in others)


def test_the_area_of_an_effect_in_the_matrix_follows_the_number_of_conditions():
    rows = conditions_frame(lines=("A172",)).with_columns(
        pl.lit("none").alias("effect"), pl.lit(None).alias("concentration")
    )
    first = pl.int_range(pl.len())

    def area(n):
        marked = rows.with_columns(pl.when(first < n).then(pl.lit("cytotoxic")).otherwise("effect").alias("effect"))
        return count_of(answers.effect_matrix(marked), style.EFFECT_COLOURS["cytotoxic"])

    one, two, four = area(1), area(2), area(4)
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)
    assert two - one > 200


def test_a_bar_is_as_long_as_its_share():
    rows = pl.DataFrame(
        {"compound": ["x"] * 4, "cell_line": ["A"] * 4, "effect": ["cytotoxic", "cytotoxic", "cytotoxic", "mixed"]}
    )
    png = answers.effect_frequency(rows)
    toxic, mixed = (count_of(png, style.EFFECT_COLOURS[e]) for e in ("cytotoxic", "mixed"))
    assert toxic / (toxic + mixed) == pytest.approx(0.75, abs=0.02)


def test_a_higher_dose_is_darker():
    for n in (2, 3, 5, 9):
        lightness = [rgb2lab(np.array(c)[None, None])[0, 0, 0] for c in style.dose_colours(n)]
        assert lightness == sorted(lightness, reverse=True)
        assert len(set(lightness)) == n


def test_a_plate_map_shows_controls_in_black_and_positive_controls_in_their_own_colour():
    png = plates.plate_map(wells_frame())
    alone = plates.plate_map(wells_frame().filter(pl.col("role") == "treatment"))
    for role in ("negative_control", "positive_control"):
        assert count_of(png, style.ROLE_COLOURS[role]) > 500
        assert count_of(alone, style.ROLE_COLOURS[role]) < 100


@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [([1], [1], (2, 3)), ([4], [6], (4, 6)), ([8], [1], (8, 12)), ([1], [24], (16, 24)), ([32], [48], (32, 48))],
)
def test_a_plate_is_drawn_in_the_smallest_usual_format_that_holds_its_wells(rows, columns, size):
    assert plates.plate_size(rows, columns) == size


@pytest.mark.parametrize("n_rows", [16, 32])
def test_large_plates_with_many_compounds_are_drawn(n_rows):
    n_columns = n_rows * 3 // 2
    place = [(r, c) for r in range(1, n_rows + 1) for c in range(1, n_columns + 1)]
    frame = pl.DataFrame(place, schema=["row", "column"], orient="row").with_columns(
        role=pl.lit("treatment"),
        cell_line=pl.lit("A172"),
        compound=pl.format("Compound {}", pl.int_range(pl.len()) % 120),
        concentration=(pl.int_range(pl.len()) % 5).cast(pl.Float64),
        concentration_unit=pl.lit("µM"),
    )
    assert len(plates.plate_map(frame)) < 200_000


def test_a_thumbnail_is_the_mean_of_whole_blocks():
    image = np.random.default_rng(0).integers(0, 65535, (65, 91)).astype(np.uint16)
    small = images.thumbnail(image, 31)  # blocks of 3 x 3
    naive = np.array([[image[y * 3 : y * 3 + 3, x * 3 : x * 3 + 3].mean() for x in range(30)] for y in range(21)])
    np.testing.assert_allclose(small, naive, rtol=1e-6)


def test_an_image_smaller_than_its_thumbnail_stays_as_it_is():
    image = cells(1)
    np.testing.assert_array_equal(images.thumbnail(image, 300), image)


def test_a_very_long_image_still_has_a_thumbnail():
    assert images.thumbnail(np.ones((2, 1000), np.uint8), 100).shape == (1, 100)


def test_compared_images_share_one_grey_scale():
    """A dim copy of an image is drawn darker, not stretched to the same contrast."""
    dim, bright = np.full((60, 60), 60, np.uint8), np.full((60, 60), 200, np.uint8)
    pixels = opened(images.contact_sheet([[dim, bright]], ["A01"], ["0 h", "4 h"])).astype(int)
    height, width, _ = pixels.shape
    left, right = pixels[height * 2 // 3, width // 3], pixels[height * 2 // 3, width * 2 // 3]
    assert left.max() < 40
    assert right.min() > 215


def test_images_of_noise_are_packed_below_the_limit():
    sheet = [
        [np.random.default_rng(10 * i + j).integers(0, 255, (600, 800)).astype(np.uint8) for j in range(4)]
        for i in range(5)
    ]
    assert len(images.contact_sheet(sheet, list("ABCDE"), list("1234"))) <= style.MAX_BYTES


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ("a $b$ c", r"a \$b\$ c"),
        ("_hidden", " _hidden"),
        ("10 µM ± 2", "10 µM ± 2"),
        ("化合物 7", "??? 7"),
        ("line\nbreak\ttab", "line break tab"),
        ("x" * 99, "x" * 59 + "…"),
    ],
)
def test_text_is_drawn_letter_by_letter(given, drawn):
    assert style.text(given) == drawn


AWKWARD = ("$x_{1$", "_hidden", "化合物", "x" * 300, "\\frac{", "%s {}", "a\nb", "🧪")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plates.plate_map(wells_frame(AWKWARD), title="$a_"),
        lambda: answers.effect_matrix(conditions_frame(AWKWARD, AWKWARD[:2]), title="$a$", note="_"),
        lambda: answers.effect_frequency(conditions_frame(AWKWARD, AWKWARD[2:4]), title="🧪"),
        lambda: answers.ranked_treatments(conditions_frame(AWKWARD, AWKWARD[4:5]), title="化"),
        lambda: curves.distances(curves_frame(AWKWARD, AWKWARD[:2]), title="$", x_label="$h$", y_label="_"),
        lambda: curves.clusters(curves_frame(AWKWARD), title="x" * 300, note="y" * 300, x_label="h", y_label="$d"),
        lambda: images.contact_sheet([[cells()]] * 2, AWKWARD[:2], AWKWARD[2:3], title=AWKWARD[3]),
        lambda: maps.phenotype_map(map_frame().with_columns(pl.col("compound").replace(COMPOUNDS, AWKWARD[:4]))),
    ],
)
def test_awkward_names_are_drawn_without_a_warning(draw):
    assert draw().startswith(b"\x89PNG")


def test_unknown_values_are_drawn_as_unknown():
    everything = pl.lit(None)
    plate_wells, scans = quality_frames()
    plates.quality(plate_wells.with_columns(everything.cast(pl.Float64).alias("confluence")), scans, x_label="hours")
    rows = curves_frame().with_columns(
        everything.cast(pl.Float64).alias(name)
        for name in ("low", "high", "null_high", "control_confluence", "control_std")
    )
    curves.distances(rows, x_label="hours", y_label="distance")
    curves.growth(rows, x_label="hours")
    unnamed = rows.with_columns(
        everything.cast(pl.String).alias("effect"),
        everything.cast(pl.String).alias("cluster_effect"),
        pl.lit(-1, pl.Int32).alias("cluster"),
    )
    curves.clusters(unnamed, x_label="hours", y_label="distance")
    answers.effect_matrix(conditions_frame().with_columns(everything.cast(pl.String).alias("effect")))
    no_dose = conditions_frame().with_columns(everything.cast(pl.Float64).alias("concentration"))
    answers.effect_matrix(no_dose.with_columns(everything.cast(pl.String).alias("concentration_unit")))
    maps.phenotype_map(map_frame().with_columns(everything.cast(pl.String).alias("effect")))
    maps.sphering(map_frame().with_columns(pl.lit(float("nan")).alias("before_distance")))
    maps.embedding_map(
        np.zeros((5, 2)), pl.Series(["?"] * 5), np.full(5, np.nan), explained=(0.0, 0.0), time_label="hours"
    )


def test_a_single_row_is_enough():
    one = curves_frame().head(1)
    curves.distances(one, x_label="hours", y_label="distance")
    curves.growth(one, x_label="hours")
    curves.clusters(one, x_label="hours", y_label="distance")
    answers.effect_matrix(conditions_frame().head(1))
    answers.effect_frequency(conditions_frame().head(1))
    answers.ranked_treatments(conditions_frame().head(1))
    maps.phenotype_map(map_frame(1))
    maps.sphering(map_frame(1))
    plates.plate_map(wells_frame().head(1))
    plates.quality(quality_frames()[0].head(1), quality_frames()[1].head(1), x_label="hours")
    images.strip([[cells()]], ["A01"], [0.0], None, title="one", x_label="hours")
    answers.profile_heatmap(np.zeros((1, 1)), wells_frame().head(1))


def test_a_large_screen_stays_readable_and_small():
    compounds = tuple(f"Compound {i}" for i in range(31))
    rows = conditions_frame(compounds, tuple(f"LINE-{i}" for i in range(21)))
    for draw in (answers.effect_matrix, answers.effect_frequency, answers.ranked_treatments):
        png = draw(rows)
        assert len(png) < 200_000
        assert max(opened(png).shape) <= 1800


def test_the_centre_of_a_cluster_that_is_not_given_is_the_mean_of_its_members():
    rows = pl.DataFrame({"hours": [0.0, 1.0, 0.0, 1.0, 2.0], "value": [1.0, 2.0, 3.0, None, 5.0]})
    hours, value = curves._mean_curve(rows)
    np.testing.assert_array_equal(hours, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(value, [2.0, 2.0, 5.0])


def test_clusters_are_ordered_by_effect_and_those_not_clustered_come_last():
    rows = pl.DataFrame(
        {
            "cluster": [4, 3, -1, 0, 7, 1],
            "cluster_effect": ["none", "cytotoxic", None, "mixed", None, "cytostatic"],
        }
    )
    assert curves._order(rows) == [3, 1, 0, 4, 7, -1]


def test_numbers_are_short():
    found = [style.number(v) for v in (10.0, 1.1, 0.0123, 0.00002, 123456.0, -2.0)]
    assert found == ["10", "1.1", "0.0123", "2e-5", "1.23e5", "-2"]


def test_a_condition_reads_as_a_person_says_it():
    assert answers.condition_text("A172|Bortazolid@10 µM") == "A172 · Bortazolid 10 µM"
    assert answers.condition_text("A172|a@1 µM + b@2 %") == "A172 · a 1 µM + b 2 %"
    assert answers.condition_text("odd") == "odd"


def test_drawing_needs_no_pyplot_and_importing_no_matplotlib():
    program = (
        "import sys\n"
        "from phenoassets.figures.drawing import answers, curves, images, likeness, maps, plates, style\n"
        "assert 'matplotlib' not in sys.modules\n"
        "style.notice('a', 'b')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_drawing_leaves_no_settings_behind():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    for draw in (PICTURES["distances"], PICTURES["phenotype map"], PICTURES["strip"]):
        draw()
    assert dict(mpl.rcParams) == before
