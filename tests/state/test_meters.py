"""Metrics: what is counted, how it is exposed, and that workers add up."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from trunkline.core.call import Entry
from trunkline.core.usage import NANO, Usage
from trunkline.state.exposition import exposition
from trunkline.state.meters import MAX_SERIES, Labelled, ProcessMeters


def entry(**fields: object) -> Entry:
    basic = {"id": "c", "at": 0.0, "surface": "/v1/messages", "status": 200, "target": "p/m", "duration": 0.3}
    return Entry(**(basic | fields))  # type: ignore[arg-type]


def samples(meters: ProcessMeters) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = exposition(meters.total())[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_a_call_counts() -> None:
    meters = ProcessMeters(lambda: {"trunkline_in_flight": 3.0})
    usage = Usage(input=10, cache_read=4, output=7, reasoning=2)
    meters.record(entry(usage=usage, cost=NANO // 2, first_byte=0.07))
    meters.record(entry(status=429, error="upstream_rate_limit"))
    found = samples(meters)
    where = (("surface", "/v1/messages"), ("target", "p/m"))
    assert found["trunkline_requests_total", (("error", ""), ("status", "200"), *where)] == 1
    assert found["trunkline_requests_total", (("error", "upstream_rate_limit"), ("status", "429"), *where)] == 1
    assert found["trunkline_tokens_total", (("kind", "input"), *where)] == 10
    assert found["trunkline_tokens_total", (("kind", "reasoning"), *where)] == 2
    assert found["trunkline_cost_usd_total", where] == 0.5
    assert found["trunkline_duration_seconds_count", where] == 2
    assert found["trunkline_duration_seconds_bucket", (("le", "0.25"), *where)] == 0
    assert found["trunkline_duration_seconds_bucket", (("le", "0.5"), *where)] == 2
    assert found["trunkline_first_byte_seconds_bucket", (("le", "0.1"), *where)] == 1
    assert found["trunkline_in_flight", ()] == 3


def test_callers_cannot_grow_the_metrics_without_end() -> None:
    meters = ProcessMeters()
    for number in range(MAX_SERIES + 50):
        meters.record(entry(target=f"p/{number}"))
    found = samples(meters)
    assert len({labels for name, labels in found if name == "trunkline_cost_usd_total"}) == MAX_SERIES + 1
    assert sum(value for (name, _), value in found.items() if name == "trunkline_requests_total") == MAX_SERIES + 50


@pytest.fixture
def shared(tmp_path: Path) -> ProcessMeters:
    meters = ProcessMeters(lambda: {"trunkline_in_flight": 1.0})
    meters._shared = tmp_path
    meters.record(entry())
    return meters


@pytest.mark.parametrize(("pid", "gauge"), [(os.getppid(), 3.0), (2**22 + 1, 1.0)])
def test_workers_add_up_and_the_dead_keep_their_counts(
    shared: ProcessMeters, tmp_path: Path, pid: int, gauge: float
) -> None:
    other = ProcessMeters(lambda: {"trunkline_in_flight": 2.0})
    other.record(entry())
    other.record(entry())
    (tmp_path / f"{pid}.json").write_bytes(msgspec.json.encode(other.snapshot()))
    found = samples(shared)
    assert sum(value for (name, _), value in found.items() if name == "trunkline_requests_total") == 3
    assert found["trunkline_in_flight", ()] == gauge


@pytest.mark.parametrize(("pid", "out"), [(os.getppid(), 2.0), (2**22 + 1, 1.0)])
def test_what_has_other_labels_adds_up_too_and_of_the_dead_only_counts_stay(
    tmp_path: Path, pid: int, out: float
) -> None:
    labels = ("one/a", "failures")
    present: dict[Labelled, float] = {
        ("trunkline_target_out", labels): 1.0,
        ("trunkline_target_outages_total", labels): 3.0,
    }
    meters, other = (ProcessMeters(labelled=present.copy) for _ in range(2))
    meters._shared = tmp_path
    (tmp_path / f"{pid}.json").write_bytes(msgspec.json.encode(other.snapshot()))
    found = samples(meters)
    where = (("cause", "failures"), ("target", "one/a"))
    assert found["trunkline_target_out", where] == out
    assert found["trunkline_target_outages_total", where] == 6


def test_what_is_shared_is_what_was_counted(shared: ProcessMeters, tmp_path: Path) -> None:
    shared._write()
    assert [path.name for path in tmp_path.iterdir()] == [f"{os.getpid()}.json"]
    reader = ProcessMeters()
    reader._shared = tmp_path
    assert samples(reader) == {}  # a process does not read its own file
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / f"{os.getppid()}.json")
    assert any(re.match("trunkline_requests", name) for name, _ in samples(reader))
