"""Of any number of workers one has a trial, until it gives it back, is gone or falls silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest

from experiments.study.lease import Leases, Owner

LONG_AGO = 1_000_000.0  # seconds since 1970


@pytest.fixture
def leases(tmp_path) -> Leases:
    return Leases(tmp_path / "leases")


def write(leases: Leases, owner: Owner, note: str = "") -> None:
    """The first lease on `trial`, as its owner would have left it."""
    path = leases.path("trial", 1)
    path.write_text(json.dumps({**asdict(owner), "note": note}))


def test_of_many_who_claim_at_once_one_gets_the_lease(leases):
    def claim(_: int) -> bool:
        return Leases(leases.folder).claim("trial") is not None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claim, range(64))) == 1


def test_a_lease_that_another_worker_gets_between_look_and_claim_is_left_to_it(leases, monkeypatch):
    """The other one comes after any number of looks at what there is."""
    look = Leases.numbers
    for after in range(4):
        key, looks = f"trial {after}", []

        def interrupted(self, key, looks=looks, after=after):
            found = list(look(self, key))
            looks.append(found)
            if len(looks) == after + 1:
                with monkeypatch.context() as undisturbed:
                    undisturbed.setattr(Leases, "numbers", look)
                    Leases(leases.folder).claim(key)
            return iter(found)

        with monkeypatch.context() as patch:
            patch.setattr(Leases, "numbers", interrupted)
            leases.claim(key)
        assert list(leases.numbers(key)) == [1]


def test_leases_on_different_keys_do_not_hinder_each_other(leases):
    assert leases.claim("a") is not None
    assert leases.claim("b") is not None


def test_a_lease_that_was_given_back_can_be_had_at_once(leases):
    first = leases.claim("trial")
    with first:
        assert leases.claim("trial") is None
    second = leases.claim("trial")
    assert second is not None
    assert second.number == 2


def test_a_lease_is_given_back_when_its_owner_is_interrupted(leases):
    with pytest.raises(KeyboardInterrupt), leases.claim("trial"):
        raise KeyboardInterrupt
    assert leases.claim("trial") is not None


def gone() -> Owner:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return replace(Owner.this(), pid=ended.pid)


@pytest.mark.parametrize(
    ("owner", "at_once"),
    [
        (gone, True),
        (lambda: replace(Owner.this(), started="1"), True),  # another process has its number
        (lambda: Owner("elsewhere", "another machine", 1, "1"), False),
        (None, False),  # what is written there cannot be read
    ],
)
def test_a_lease_lasts_until_its_owner_is_known_to_be_gone_or_falls_silent(owner, at_once, leases):
    path = leases.path("trial", 1)
    if owner is None:
        path.write_text("")
    else:
        write(leases, owner())
    assert (leases.claim("trial") is not None) == at_once
    if not at_once:
        os.utime(path, (LONG_AGO, LONG_AGO))
        assert leases.claim("trial") is not None


def test_silence_is_measured_by_the_clock_of_the_file_system(leases, monkeypatch):
    write(leases, Owner("elsewhere", "another machine", 1, "1"))
    monkeypatch.setattr(time, "time", lambda: LONG_AGO * 1e6)  # this machine's clock is wrong
    assert leases.claim("trial") is None


def test_an_owner_shows_life_while_it_works(tmp_path):
    leases = Leases(tmp_path, seconds=0.06)
    with leases.claim("trial") as lease:
        path = leases.path("trial", lease.number)
        os.utime(path, (LONG_AGO, LONG_AGO))
        looks = 0
        while path.stat().st_mtime == LONG_AGO and looks < 1000:  # a sign of life ends it
            time.sleep(0.01)
            looks += 1
        assert path.stat().st_mtime > LONG_AGO


def test_life_is_shown_more_often_than_silence_is_taken_for_death(tmp_path, monkeypatch):
    lease, waited = Leases(tmp_path, seconds=60.0).claim("trial"), []
    monkeypatch.setattr(lease._over, "wait", lambda seconds: waited.append(seconds) or True)
    with lease:
        pass
    assert 0.0 < waited[0] <= 60.0 / 3


def test_a_worker_that_was_asleep_finds_that_another_took_over_and_does_not_disturb_it(leases):
    asleep = leases.claim("trial")
    os.utime(leases.path("trial", 1), (LONG_AGO, LONG_AGO))
    awake = leases.claim("trial")
    assert not asleep.held()
    assert awake.held()
    with asleep:
        pass
    assert awake.held()
    assert leases.claim("trial") is None


def test_who_comes_after_learns_what_those_before_noted_unless_they_gave_it_back(leases):
    with leases.claim("trial", note="given back"):
        pass
    for note in ("one", "two"):
        leases.claim("trial", note)
        os.utime(leases.path("trial", max(leases.numbers("trial"))), (LONG_AGO, LONG_AGO))
    assert leases.claim("trial", "three").lost() == ["one", "two"]
    assert leases.kept("trial") == ["one", "two", "three"]
