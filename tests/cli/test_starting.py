from __future__ import annotations

import gc
import os

import pytest

from calcmap.cli.starting import BLAS_THREADS, quick_imports


@pytest.fixture(autouse=True)
def _searching_as_before() -> object:
    yield
    gc.unfreeze()
    gc.enable()


def test_garbage_is_not_searched_for_within_and_is_again_afterwards() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_whoever_had_turned_the_search_off_keeps_it_off() -> None:
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()


@pytest.mark.parametrize("said", [None, "3"])
def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.delenv(BLAS_THREADS, raising=False)
    if said is not None:
        monkeypatch.setenv(BLAS_THREADS, said)
    with quick_imports():
        assert os.environ[BLAS_THREADS] == (said or "1")
    assert os.environ.get(BLAS_THREADS) == said


def test_an_import_that_fails_leaves_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BLAS_THREADS, raising=False)
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()
    assert BLAS_THREADS not in os.environ
