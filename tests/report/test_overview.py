"""The overview shows what the result says, for every kind of result and scan."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from calcmap.core.errors import GridMismatchError
from calcmap.core.result import DISCLAIMER, CalciumClass, LesionResult, Provenance, StudyResult, Vessel
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.report import drawing
from calcmap.report.overview import (
    CALCIUM_NOT_SHOWN,
    MAX_SLICES,
    NO_CALCIUM,
    WIDTH_PX,
    choose_slices,
    confidence_line,
    fact_lines,
    format_score,
    method_lines,
    render_overview,
    slice_lines,
    write_overview,
)
from core.results import CONFIDENCE, empty_result, refused_result, scored_result

SHAPE = (40, 64, 64)


def make_study(
    shape: tuple[int, int, int] = SHAPE, spacing_mm_zyx: tuple[float, float, float] = (5.0, 4.0, 4.0)
) -> tuple[Volume, Labels]:
    """Return noise with a box as heart and one spot of each calcium."""
    nz, ny, nx = shape
    grid = grid_from_spacing(shape, spacing_mm_zyx)
    rng = np.random.default_rng(5)
    hu = rng.integers(-50, 120, size=shape, dtype=np.int16)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[nz // 4 : nz * 3 // 4, ny // 4 : ny * 3 // 4, nx // 4 : nx * 3 // 4] = Label.HEART
    labels[nz // 2, ny // 2 : ny // 2 + 3, nx // 2 : nx // 2 + 3] = Label.CORONARY
    labels[nz // 2, ny // 3 : ny // 3 + 3, nx // 3 : nx // 3 + 3] = Label.NONCORONARY
    return Volume(hu, grid), Labels(labels, grid)


def lesion(number: int, first: int, last: int, agatston: float, **changes: object) -> LesionResult:
    made = LesionResult(number, CalciumClass.CORONARY, None, first, last, (0.0, 0.0, 0.0), 1.0, 200, agatston)
    return replace(made, **changes)


def with_lesions(*lesions: LesionResult) -> StudyResult:
    return replace(scored_result(), lesions=lesions)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect every text that is drawn."""
    texts: list[str] = []
    original = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: object, text: str, *rest: object, **options: object) -> None:
        texts.append(text)
        original(self, xy, text, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return texts


@pytest.mark.parametrize(
    ("agatston", "words"),
    [(0.0, "0"), (0.4, "0.4"), (9.94, "9.9"), (10.0, "10"), (99.6, "100"), (12345.6, "12346")],
)
def test_scores_are_written_as_people_write_them(agatston: float, words: str) -> None:
    assert format_score(agatston) == words


def test_slices_of_a_single_lesion_are_filled_up_to_four_from_head_to_foot() -> None:
    shown = choose_slices(with_lesions(lesion(1, 20, 20, 30.0)), first=10, last=30)
    assert len(shown) == 4
    assert 20 in shown
    assert shown == sorted(shown, reverse=True)


def test_the_slices_with_the_highest_scores_are_shown() -> None:
    lesions = [lesion(i, i, i, float(i)) for i in range(1, 31)]
    assert choose_slices(with_lesions(*lesions), first=0, last=40) == list(range(30, 30 - MAX_SLICES, -1))


def test_a_lesions_score_counts_evenly_over_its_slices() -> None:
    # 40 over ten slices is 4 each, less than 5 in one
    lesions = [lesion(1, 0, 9, 40.0), *(lesion(i, i, i, 5.0) for i in range(20, 32))]
    assert choose_slices(with_lesions(*lesions), first=0, last=40) == list(range(31, 19, -1))


def test_coronary_calcium_comes_before_any_other() -> None:
    other = lesion(1, 0, 11, 9000.0, lesion_class=CalciumClass.NONCORONARY)
    shown = choose_slices(with_lesions(other, lesion(2, 30, 30, 1.0)), first=0, last=40)
    assert len(shown) == MAX_SLICES
    assert shown[0] == 30


def test_without_calcium_twelve_slices_are_spread_over_the_heart() -> None:
    shown = choose_slices(empty_result(), first=10, last=36)
    assert len(shown) == 12
    assert shown == list(range(34, 10, -2))


def test_a_refusal_shows_six_slices() -> None:
    assert choose_slices(refused_result(), first=0, last=70) == [60, 50, 40, 30, 20, 10]


def test_a_short_heart_full_of_lesions_is_shown_as_it_is() -> None:
    assert choose_slices(with_lesions(lesion(1, 5, 7, 30.0)), first=5, last=7) == [7, 6, 5]


def test_a_scan_of_three_slices_shows_each_once() -> None:
    assert choose_slices(refused_result(), first=0, last=2) == [2, 1, 0]


def test_the_rule_is_written_out() -> None:
    rule, weights, increment, software = method_lines(scored_result())
    assert rule == "Rule clinical: >= 130 HU, lesions >= 1 mm² (1 px here), 8-connected"
    assert "130 / 200 / 300 / 400" in weights
    assert increment == "Slice increment 5.00 mm, 120 kVp"
    assert software == "CalcMap 0.1.0, weights calcium bbbbbbbbbb, heart aaaaaaaaaa"


def test_models_beside_the_networks_have_a_line_of_their_own() -> None:
    hashes = {"heart": "a" * 64, "calcium": "b" * 64, "vessels": "c" * 64, "confidence": "d" * 64}
    lines = method_lines(replace(scored_result(), provenance=Provenance("0.1.0", hashes, None)))
    assert lines[-1] == "Models confidence dddddddddd, vessels cccccccccc"
    assert lines[-2] == "CalcMap 0.1.0, weights calcium bbbbbbbbbb, heart aaaaaaaaaa"


@pytest.mark.parametrize(
    ("category", "any_calcium", "words"),
    [
        (0.8, 0.99, "likely: 80 % this category, 99 % any calcium"),
        (0.9999, 0.0001, "likely: > 99 % this category, < 1 % any calcium"),
    ],
)
def test_how_sure_a_category_is_stands_in_words_and_never_claims_certainty(
    category: float, any_calcium: float, words: str
) -> None:
    confidence = replace(CONFIDENCE, category_probability=category, any_calcium_probability=any_calcium)
    assert confidence_line(replace(scored_result(), confidence=confidence)) == words


def test_without_a_confidence_nothing_is_said_of_it(written: list[str]) -> None:
    assert confidence_line(empty_result()) == ""
    render_overview(*make_study(), empty_result())
    assert not any("this category" in text for text in written)
    render_overview(*make_study(), scored_result())
    assert any("likely: 80 % this category" in text for text in written)


def test_an_unknown_voltage_and_no_weights_are_said() -> None:
    lines = method_lines(empty_result())
    assert lines[2].endswith("tube voltage unknown")
    assert lines[3] == "CalcMap 0.1.0"


def test_facts_are_those_of_the_result() -> None:
    assert fact_lines(scored_result()) == [
        "Heart 633 mL",
        "Coronary: 2 lesions",
        "    Agatston 122, 113 mm³, 22.1 mg",
        "Noncoronary: 1 lesion",
        "    Agatston 310, 240 mm³",
        "LAD: 102",
        "RCA: 20",
        "Percentile 71 (mesa2006)",
        "    men, 62 years, white",
        "Arterial age 74 years",
    ]
    assert fact_lines(refused_result()) == []


def test_a_caption_names_the_lesions_with_their_whole_scores() -> None:
    caption = slice_lines(scored_result(), index=21, z_mm=100.04, width_px=400)
    assert caption == ("slice 21   z 100.0 mm", "#1 LAD 102 (3 slices)")
    assert slice_lines(scored_result(), index=14, z_mm=0.0, width_px=400)[1] == "#2 RCA 20"
    assert slice_lines(scored_result(), index=25, z_mm=0.0, width_px=400)[1] == "#3 noncoronary 310 (3 slices)"


def test_a_caption_counts_what_finds_no_room() -> None:
    result = with_lesions(*(lesion(i, 5, 5, 100.0 + i, vessel=Vessel.LAD) for i in range(1, 8)))
    line = slice_lines(result, index=5, z_mm=0.0, width_px=200)[1]
    assert line.startswith("#7 LAD 107")
    assert line.endswith("+6") or line.endswith("+5")
    assert slice_lines(result, index=5, z_mm=0.0, width_px=20)[1] == "7 lesions"


def test_a_slice_without_lesion_says_so_only_beside_others() -> None:
    assert slice_lines(scored_result(), index=1, z_mm=0.0, width_px=200)[1] == "no lesion"
    assert slice_lines(empty_result(), index=1, z_mm=0.0, width_px=200)[1] == ""


def test_a_scored_overview_says_score_category_and_rule(written: list[str]) -> None:
    volume, labels = make_study()
    picture = render_overview(volume, labels, scored_result())
    assert picture.mode == "RGB"
    assert picture.width == WIDTH_PX
    text = "\n".join(written)
    for part in ("study_07", "122", "101-400", "CAC-DRS A2/N2", "status: scored", "kvp_not_120", DISCLAIMER, "20 mm"):
        assert part in text
    assert {"R", "L", "A", "P", "H", "F"} <= set(written)


def test_no_calcium_is_said_in_words(written: list[str]) -> None:
    render_overview(*make_study(), empty_result())
    assert any(NO_CALCIUM in text for text in written)


def test_a_refusal_says_why_and_shows_no_score(written: list[str]) -> None:
    volume, _ = make_study()
    render_overview(volume, None, refused_result())
    text = " ".join(written)
    assert "REFUSED" in text
    assert "No score is given." in text
    assert "the lowest slice holds 60% of the heart's largest cross-section, expected none" in text
    assert "Agatston" not in text
    assert "coronary calcium" not in text
    assert CALCIUM_NOT_SHOWN in text
    assert DISCLAIMER in text


def test_a_refusal_shows_the_heart_but_no_calcium() -> None:
    volume, labels = make_study()
    dark = Volume(np.full(SHAPE, -1000, dtype=np.int16), volume.grid)
    pixels = np.asarray(render_overview(dark, labels, replace(refused_result(), quality=()))).astype(int)
    slices = pixels[250:-60, : WIDTH_PX - 400]
    assert not (np.abs(slices - np.array(drawing.CORONARY)).max(axis=2) < 20).any()
    assert (np.abs(slices - np.array(drawing.HEART)).max(axis=2) < 70).any()


def test_a_study_that_was_not_read_still_has_its_picture(written: list[str]) -> None:
    render_overview(None, None, refused_result())
    assert "No picture: the CT was not read." in written
    assert DISCLAIMER in written


def test_a_score_without_labels_is_drawn_from_the_whole_scan() -> None:
    volume, _ = make_study()
    assert render_overview(volume, None, empty_result()).width == WIDTH_PX


def test_the_gravest_flags_come_first_and_the_rest_is_counted(written: list[str]) -> None:
    flags = tuple(QualityFlag(f"f{i}", list(Severity)[i % 3], "detail") for i in range(9))
    render_overview(*make_study(), replace(scored_result(), quality=flags))
    chips = [text for text in written if text in set(Severity)]
    assert chips == ["refuse"] * 3 + ["warning"] * 2
    assert "and 4 more in result.json" in written


@pytest.mark.parametrize(
    ("shape", "spacing_mm_zyx"),
    [((20, 64, 64), (8.0, 2.0, 4.0)), ((135, 48, 48), (3.27, 8.0, 6.0)), ((1, 8, 8), (5.0, 1.0, 1.0))],
)
def test_small_tall_and_odd_grids_are_drawn(
    shape: tuple[int, int, int], spacing_mm_zyx: tuple[float, float, float]
) -> None:
    volume, labels = make_study(shape, spacing_mm_zyx)
    for result in (with_lesions(lesion(1, shape[0] // 2, shape[0] // 2, 5.0)), empty_result(), refused_result()):
        picture = render_overview(volume, labels, result)
        assert picture.width == WIDTH_PX
        assert picture.height < 2000


def test_no_text_runs_over_the_edge() -> None:
    volume, labels = make_study()
    long = "a very long text without end " * 20
    flags = tuple(QualityFlag("code", Severity.WARNING, long) for _ in range(3))
    for result in (
        replace(scored_result(), study=long, quality=flags),
        replace(refused_result(), study=long, reason=long, quality=flags),
    ):
        pixels = np.asarray(render_overview(volume, labels, result))
        assert pixels[:, -20:].max() < 60


def test_labels_on_another_grid_are_an_error() -> None:
    volume, _ = make_study()
    _, labels = make_study(spacing_mm_zyx=(4.0, 4.0, 4.0))
    with pytest.raises(GridMismatchError):
        render_overview(volume, labels, scored_result())


def test_two_runs_give_one_picture() -> None:
    volume, labels = make_study()
    first, second = (render_overview(volume, labels, refused_result()).tobytes() for _ in range(2))
    assert first == second


def test_the_file_is_the_picture_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    volume, labels = make_study()
    write_overview(volume, labels, scored_result(), path=tmp_path / "overview.png")
    assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]
    with Image.open(tmp_path / "overview.png") as image:
        assert image.format == "PNG"
        assert image.tobytes() == render_overview(volume, labels, scored_result()).tobytes()


def test_a_study_is_drawn_quickly(tmp_path: Path) -> None:
    volume, labels = make_study((40, 256, 256), (5.0, 1.6, 1.6))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        write_overview(volume, labels, empty_result(), path=tmp_path / "overview.png")
        seconds.append(time.process_time() - start)
    # about 0.15 s of CPU; the limit leaves room for a busy machine
    assert min(seconds) < 0.6
