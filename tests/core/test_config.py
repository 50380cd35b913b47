"""TOML becomes settings, or a list of everything that is wrong with it."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from calcmap.core.config import config_from_dict, config_sha256, config_to_dict, load_config
from calcmap.core.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Inner:
    depth_mm: float = 2.5
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Outer:
    name: str
    n_slices: int = 3
    is_fast: bool = False
    folder: Path | None = None
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_slices < 1:
            raise ValueError(f"n_slices is {self.n_slices}, expected 1 or more")


def build(**table: object) -> Outer:
    return config_from_dict(table, Outer, where="here")


def test_missing_keys_keep_their_defaults() -> None:
    assert build(name="a") == Outer("a")


def test_every_type_is_filled_in() -> None:
    table = {
        "name": "a",
        "n_slices": 5,
        "is_fast": True,
        "folder": "/tmp/x",
        "sizes": [3, 4, 5],
        "inner": {"depth_mm": 4, "colour": "green"},
        "shares": {"real": 1, "planted": 0.5},
    }
    config = build(**table)
    assert config == Outer(
        "a", 5, True, Path("/tmp/x"), (3, 4, 5), Inner(4.0, Colour.GREEN), {"real": 1.0, "planted": 0.5}
    )
    assert type(config.inner.depth_mm) is float


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "here: missing key name"),
        ({"name": "a", "colour": 1}, "unknown key colour"),
        ({"name": "a", "inner": {"depth": 1}}, r"unknown key inner\.depth"),
        ({"name": 3}, "name is 3, expected str"),
        ({"name": "a", "n_slices": True}, "n_slices is True, expected int"),
        ({"name": "a", "n_slices": 2.5}, r"n_slices is 2\.5, expected int"),
        ({"name": "a", "is_fast": 1}, "is_fast is 1, expected bool"),
        ({"name": "a", "sizes": [1, "b"]}, r"sizes\[1\] is 'b', expected int"),
        ({"name": "a", "sizes": 4}, "sizes is 4"),
        ({"name": "a", "folder": 4}, "folder is 4, expected Path"),
        ({"name": "a", "shares": {"real": "x"}}, r"shares\.real is 'x', expected float"),
        ({"name": "a", "inner": 4}, "inner is 4, expected Inner"),
        ({"name": "a", "inner": {"depth_mm": True}}, r"inner\.depth_mm is True, expected float"),
        ({"name": "a", "inner": {"colour": "blue"}}, r"inner\.colour is 'blue', expected one of green, red"),
        ({"name": "a", "n_slices": 0}, "n_slices is 0, expected 1 or more"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**table)


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build(colour=1, n_slices="x", inner={"depth_mm": "y"})
    for part in ("unknown key colour", "missing key name", "n_slices is 'x'", "inner.depth_mm is 'y'"):
        assert part in str(caught.value)


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\n[inner]\ncolour = "green"\n')
    assert load_config(path, Outer) == Outer("a", inner=Inner(colour=Colour.GREEN))


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.toml"):
        load_config(tmp_path / "none.toml", Outer)


@pytest.mark.parametrize("content", [b"name = ", b'name = "\xff\xfe"'])
def test_what_is_no_toml_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path, Outer)


def test_settings_survive_the_way_to_a_dict_and_back() -> None:
    config = Outer("a", 7, True, Path("x/y"), (9,), Inner(1.5, Colour.GREEN))
    assert config_from_dict(config_to_dict(config), Outer, where="again") == config


def test_equal_settings_have_equal_hashes_and_others_not() -> None:
    assert config_sha256(Outer("a")) == config_sha256(Outer("a", sizes=(1, 2)))
    assert config_sha256(Outer("a")) != config_sha256(Outer("b"))
    assert len(config_sha256(Outer("a"))) == 64
