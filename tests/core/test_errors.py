"""The error tree: one root, one code each."""

import inspect

import pytest

from calcmap.core import errors

CLASSES = [member for _, member in inspect.getmembers(errors, inspect.isclass) if member.__module__ == errors.__name__]


def test_every_error_descends_from_the_root() -> None:
    assert all(issubclass(error, errors.CalcMapError) for error in CLASSES)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", CLASSES)
def test_the_drawn_tree_names_every_error(error: type) -> None:
    assert error.__name__ in (errors.__doc__ or "")
