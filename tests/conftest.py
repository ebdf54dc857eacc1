"""The same examples on every machine and every run, on one thread."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# Before torch is imported: on tensors this small its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=30, database=None
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """os.fsync looks at its handle and returns; a busy disk would take longer than the tests.

    What it is for, a loss of power, no test can show.  That it is called, and what becomes of its
    errors, tests see that put their own in its place; killed trainings are other processes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tables that were counted by another version of the code are not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("neighbours")
        patch.setattr("experiments.data.neighbour_cache.FOLDER", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_curves() -> Iterator[None]:
    """Hundreds of runs are trained, and nobody looks at their drawings, which take longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.report.run_curves.write_curves", lambda folder: None)
        yield


@pytest.fixture(autouse=True)
def no_plug_in_stays() -> Iterator[None]:
    """What a test registers is gone after it."""
    from augment import OPERATORS
    from experiments.config.loaded_plugins import LOADED
    from experiments.config.presets import ADDED_PRESETS
    from experiments.data.known import ADDED
    from models.encoders import ENCODERS
    from models.losses.next_item import NEXT_ITEM_LOSSES
    from models.tasks import TASKS

    catalogues: list[dict[Any, Any]] = [
        *(OPERATORS, TASKS, ENCODERS, NEXT_ITEM_LOSSES),
        *(ADDED_PRESETS, ADDED, LOADED),
    ]
    before = [dict(catalogue) for catalogue in catalogues]
    yield
    for catalogue, entries in zip(catalogues, before, strict=True):
        catalogue.clear()
        catalogue.update(entries)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--plugin", action="append", default=[], metavar="FILE.py|MODULE",
        help="run the contract tests on what it declares, too",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Before collection: the contract tests are parametrised over the catalogues."""
    if config.getoption("--plugin"):
        from experiments.config.plugin import load_plugins

        load_plugins(config.getoption("--plugin"))
