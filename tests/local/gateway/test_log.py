"""The charge log survives its process and repairs a torn end."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from local.gateway.log import OperationLog


def record(key: str, reference: str = "p1", day: str = "2026-11-21") -> dict[str, object]:
    return {"id": f"ch_{key}", "reference": reference, "idempotency_key": key, "created_at": f"{day}T10:00:00Z"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "charges.jsonl"


class TestOperationLog:
    def test_a_new_process_finds_every_record(self, path: Path) -> None:
        log = OperationLog(path)
        log.append(record("k1"))
        log.append(record("k2", reference="p2", day="2026-11-22"))
        log.close()
        again = OperationLog(path)
        assert again.of_key("k1") == record("k1")
        assert [found["id"] for found in again.of_reference("p2")] == ["ch_k2"]
        assert [found["id"] for found in again.of_day("2026-11-22")] == ["ch_k2"]
        again.close()

    def test_a_record_is_in_the_file_before_append_returns(self, path: Path) -> None:
        log = OperationLog(path)
        log.append(record("k1"))
        assert orjson.loads(path.read_bytes()) == record("k1")
        log.close()

    def test_a_torn_last_record_is_cut_off(self, path: Path) -> None:
        log = OperationLog(path)
        log.append(record("k1"))
        log.close()
        with path.open("ab") as file:
            file.write(b'{"id": "ch_torn"')
        again = OperationLog(path)
        again.append(record("k2"))
        again.close()
        assert [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()] == ["ch_k1", "ch_k2"]
