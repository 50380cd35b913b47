from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calcmap.cohorts.vessel_paths import DEFAULT_RADIUS_MM, read_vessel_paths
from calcmap.core.errors import ConfigError, InputError

LAD = [[10.0, -20.0, 30.0], [12.0, -24.0, 28.0], [15.0, -30.0, 22.0]]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_gives_points_and_one_radius_or_one_each(tmp_path: Path) -> None:
    branches = [
        {"name": "lad", "points_lps_mm": LAD, "radius_mm": [2.0, 1.8, 1.5]},
        {"name": "descending aorta", "points_lps_mm": LAD, "radius_mm": 13},
        {"name": "OM1", "points_lps_mm": LAD},
    ]
    first, aorta, marginal = read_vessel_paths(write(tmp_path, "p.json", json.dumps({"branches": branches})))
    assert (first.name, aorta.name, marginal.name) == ("LAD", "descending_aorta", "marginal")
    np.testing.assert_array_equal(first.points_lps_mm, LAD)
    assert first.radius_mm.tolist() == [2.0, 1.8, 1.5]
    assert aorta.radius_mm.tolist() == [13.0] * 3
    assert marginal.radius_mm.tolist() == [DEFAULT_RADIUS_MM] * 3


def test_csv_groups_its_rows_by_vessel(tmp_path: Path) -> None:
    rows = "name,x,y,z,radius\nRCA,1,2,3,1.9\nLM,7,8,9,\nRCA,4,5,6,1.5\nLM,7,8,12,2.2\n"
    rca, lm = read_vessel_paths(write(tmp_path, "p.csv", rows))
    np.testing.assert_array_equal(rca.points_lps_mm, [[1, 2, 3], [4, 5, 6]])
    assert rca.radius_mm.tolist() == [1.9, 1.5]
    assert (lm.name, lm.radius_mm.tolist()) == ("LM", [DEFAULT_RADIUS_MM, 2.2])


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("1", 1), ("RAS", -1), ("0", -1)])
def test_slicer_fiducials_follow_their_coordinate_system(tmp_path: Path, system: str, sign: int) -> None:
    text = (
        "# Markups fiducial file version = 4.11\n"
        f"# CoordinateSystem = {system}\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "1,10,20,30,0,0,0,1,1,1,0,LCx-1,,\n2,11,22,33,0,0,0,1,1,1,0,LCx-2,,\n"
    )
    (path,) = read_vessel_paths(write(tmp_path, "p.fcsv", text))
    assert path.name == "LCx"
    np.testing.assert_array_equal(path.points_lps_mm, [[sign * 10, sign * 20, 30], [sign * 11, sign * 22, 33]])


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("p.txt", "", InputError, "expected .json, .csv or .fcsv"),
        ("p.json", "{", InputError, "no table of vessel points"),
        ("p.json", "[]", InputError, "no table of vessel points"),
        ("p.json", '{"branches": []}', InputError, "holds no vessel point"),
        ("p.csv", "a,b\n1,2\n", InputError, "no table of vessel points"),
        ("p.csv", "name,x,y,z\nLAD,1,2,three\n", InputError, "no table of vessel points"),
        ("p.csv", "name,x,y,z\nLAD,1,2,3\n", ConfigError, "two or more points"),
        ("p.csv", "name,x,y,z\nliver,1,2,3\nliver,1,2,4\n", ConfigError, "unknown vessel 'liver'"),
        ("p.csv", "name,x,y,z,radius\nLM,1,2,3,-1\nLM,1,2,4,2\n", ConfigError, "radius that is not above 0"),
        ("p.csv", "name,x,y,z\nLM,1,2,nan\nLM,1,2,4\n", ConfigError, "not finite"),
    ],
)
def test_what_is_no_path_is_refused(tmp_path: Path, name: str, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_vessel_paths(write(tmp_path, name, text))


def test_a_vessel_named_twice_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    twice = {"branches": [{"name": "LAD", "points_lps_mm": LAD}, {"name": "lad", "points_lps_mm": LAD}]}
    with pytest.raises(ConfigError, match="named twice"):
        read_vessel_paths(write(tmp_path, "p.json", json.dumps(twice)))
    with pytest.raises(InputError, match="cannot read"):
        read_vessel_paths(tmp_path / "none.json")
