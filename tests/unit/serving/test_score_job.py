"""Batch scoring: out of core, in parts, resumable, and exact about what does not fit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from flyball.cli.main import main
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput
from flyball.kernel.runners import Piece, Work, open_runner
from flyball.kernel.runners.local import LocalRunner
from flyball.kernel.runners.worker import open_work
from flyball.serving import score_input
from flyball.serving.score_input import Part, cut_parts, read_part
from flyball.serving.score_job import Scored, Task, run_job
from flyball.serving.score_model import tree_digest
from flyball.serving.served_model import load_model


class HereRunner:
    """Scores in this process, which a test may; `most` parts, then it breaks off."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.asked: list[int] = []

    def run(self, work: Work, parts: Iterable[Piece], *, workers: int) -> Iterator[bytes]:
        score = open_work(work)
        for part in parts:
            if len(self.asked) == self.most:
                raise KeyboardInterrupt
            self.asked.append(msgspec.json.decode(part.content, type=Part).number)
            yield score(part.content)


@pytest.fixture
def task(linear_folder: Path, frame: pd.DataFrame, tmp_path: Path) -> Task:
    source = tmp_path / "rows.parquet"
    pq.write_table(
        pa.Table.from_pandas(frame.assign(id=np.arange(200)), preserve_index=False), source, row_group_size=30
    )
    return Task(
        model_folder=linear_folder,
        model="linear",
        model_digest=tree_digest(linear_folder),
        input=source,
        output=tmp_path / "out",
        keep=("id",),
        part_rows=60,
    )


def answers(path: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(each) for each in sorted(path.glob("part-*.parquet"))])


def test_parts_of_row_groups_together_are_the_models_own_answers(task: Task, linear: Any, frame: pd.DataFrame) -> None:
    assert run_job(task, HereRunner()) == Scored(rows=200, parts=4, kept_parts=0)
    found = answers(task.output)
    assert found.column_names == ["id", "prediction", "score"]
    assert found.column("id").to_pylist() == list(range(200))
    np.testing.assert_array_equal(found.column("prediction").to_numpy(), linear.predict(frame))
    assert [pq.read_metadata(each).num_rows for each in sorted(task.output.glob("*.parquet"))] == [60, 60, 60, 20]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_one_file_is_put_together_in_order_and_its_parts_go(task: Task, suffix: str) -> None:
    single = dataclasses.replace(task, output=task.output.with_suffix(suffix))
    run_job(single, HereRunner())
    found = pq.read_table(single.output) if suffix == ".parquet" else pa_csv.read_csv(single.output)
    assert found.column("id").to_pylist() == list(range(200))
    assert sorted(path.name for path in single.output.parent.iterdir()) == sorted(["rows.parquet", single.output.name])
    with pytest.raises(Conflict, match="exists"):
        run_job(single, HereRunner())


def test_a_job_that_broke_off_goes_on_where_it_was(task: Task) -> None:
    whole = dataclasses.replace(task, output=task.output.with_name("whole"))
    run_job(whole, HereRunner())
    with pytest.raises(KeyboardInterrupt):
        run_job(task, HereRunner(most=2))
    with (task.output / "done.jsonl").open("ab") as record:
        record.write(b'{"number": 2, "ro')  # the power went here
    second = HereRunner()
    assert run_job(task, second) == Scored(rows=200, parts=4, kept_parts=2)
    assert second.asked == [2, 3]
    assert answers(task.output) == answers(whole.output)
    assert run_job(task, HereRunner(most=0)) == Scored(rows=200, parts=4, kept_parts=4)


def test_a_part_whose_file_is_damaged_is_scored_again(task: Task) -> None:
    run_job(task, HereRunner())
    (task.output / "part-000001.parquet").write_bytes(b"damaged")
    again = HereRunner()
    run_job(task, again)
    assert again.asked == [1]
    assert answers(task.output).num_rows == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [({"model_digest": "0" * 64}, "model_digest"), ({"keep": ()}, "keep"), ({"part_rows": 90}, "part_rows")],
)
def test_another_job_does_not_go_on_with_this_one(task: Task, change: dict[str, Any], field: str) -> None:
    run_job(task, HereRunner())
    with pytest.raises(Conflict) as caught:
        run_job(dataclasses.replace(task, **change), HereRunner())
    assert caught.value.field == field


def test_a_changed_input_is_refused(task: Task, frame: pd.DataFrame) -> None:
    run_job(task, HereRunner())
    pq.write_table(pa.Table.from_pandas(frame.assign(id=0), preserve_index=False), task.input)
    with pytest.raises(Conflict, match="another input"):
        run_job(task, HereRunner())


def test_an_input_that_changes_meanwhile_is_noticed(task: Task) -> None:
    class Spoiler(HereRunner):
        def run(self, work: Work, parts: Iterable[Piece], *, workers: int) -> Iterator[bytes]:
            yield from super().run(work, parts, workers=workers)
            with task.input.open("ab") as file:
                file.write(b"x")

    with pytest.raises(Corrupted, match=r"rows\.parquet was changed"):
        run_job(task, Spoiler())


def test_a_folder_that_holds_something_else_is_left_alone(task: Task) -> None:
    task.output.mkdir()
    (task.output / "thesis.txt").write_text("precious")
    with pytest.raises(Conflict, match="holds no job"):
        run_job(task, HereRunner())
    assert [path.name for path in task.output.iterdir()] == ["thesis.txt"]


def csv_task(task: Task, text: str) -> Task:
    source = task.input.with_name("rows.csv")
    source.write_text(text)
    return dataclasses.replace(task, input=source)


HEADER = "id,price,demand,hour,day,holiday\n"


def test_csv_is_read_by_the_signature_and_kept_texts_stay_what_they_are(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_input, "CSV_PART_BYTES", 40)
    monkeypatch.setattr(score_input, "_BLOCK", 16)
    rows = [f'"00{i},\n""x""",0.{i},1,{i}.0,1,{"true" if i % 2 else "FALSE"}\n' for i in range(9)]
    job = csv_task(task, HEADER + "".join(rows))
    made = run_job(job, HereRunner())
    assert made.rows == 9
    assert made.parts > 2
    assert answers(job.output).column("id").to_pylist() == [f'00{i},\n"x"' for i in range(9)]


def test_the_parts_of_a_csv_file_are_its_rows(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_input, "CSV_PART_BYTES", 60)
    monkeypatch.setattr(score_input, "_BLOCK", 32)
    job = csv_task(task, HEADER + "".join(f"{i},0.5,1,3,1,true\n" for i in range(50)).rstrip("\n"))
    parts = list(cut_parts([job.input], part_rows=1))
    signature = load_model(job.model_folder, allow_pickle=False).signature
    tables = [read_part(part, signature, keep=["id"]) for part in parts]
    assert [part.first_row for part in parts] == np.cumsum([0, *(table.num_rows for table in tables[:-1])]).tolist()
    assert [name for table in tables for name in table.column("id").to_pylist()] == [str(i) for i in range(50)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("7,x,1,3,1,true\n", r"rows\.csv: column 'price': row 3 \('x'\) is no number"),
        ("7,0.5,1,3.5,1,true\n", r"rows\.csv: column 'hour': row 3 \(3\.5\) is no whole number"),
        ("7,0.5,1,,1,true\n", r"rows\.csv: column 'hour': row 3 .*NaN"),
        ("7,0.5,1,3,1,maybe\n", r"rows\.csv: column 'holiday': row 3 \('maybe'\)"),
        ("7,0.5\n", r"rows\.csv: it is no CSV"),
    ],
)
def test_what_does_not_fit_is_named_by_file_row_and_column(task: Task, row: str, words: str) -> None:
    good = "1,0.5,1,3,1,true\n"
    with pytest.raises(InvalidInput, match=words):
        run_job(csv_task(task, HEADER + good + good + row), HereRunner())


def test_a_missing_column_and_one_that_cannot_be_kept_are_named(task: Task) -> None:
    with pytest.raises(InvalidInput, match="missing column 'holiday'"):
        run_job(csv_task(task, "id,price,demand,hour,day\n1,0.5,1,3,1\n"), HereRunner())
    with pytest.raises(InvalidInput, match="'nobody' to keep"):
        run_job(dataclasses.replace(task, keep=("nobody",), output=task.output.with_name("b")), HereRunner())
    with pytest.raises(InvalidInput, match="cannot be kept"):
        run_job(dataclasses.replace(task, keep=("score",), output=task.output.with_name("c")), HereRunner())


def test_a_folder_of_files_is_scored_in_the_order_of_names(task: Task) -> None:
    folder = task.input.with_name("in")
    (folder / "2").mkdir(parents=True)
    task.input.rename(folder / "2" / "b.parquet")
    (folder / "a.csv").write_text(HEADER + "901,0.5,1,3,1,true\n")
    job = dataclasses.replace(task, input=folder)
    assert run_job(job, HereRunner()).rows == 201
    manifest = json.loads((job.output / "manifest.json").read_text())
    assert [Path(file["path"]).name for file in manifest["files"]] == ["b.parquet", "a.csv"]
    with pytest.raises(InvalidInput, match=r"no \.parquet or \.csv"):
        run_job(dataclasses.replace(task, input=job.output.with_name("none")), HereRunner())


def test_children_do_the_work_here(task: Task) -> None:
    job = dataclasses.replace(task, workers=2)
    assert run_job(job, open_runner("local")) == Scored(rows=200, parts=4, kept_parts=0)
    assert answers(task.output).column("id").to_pylist() == list(range(200))


def test_the_error_of_a_child_crosses_over_and_finished_parts_stay(task: Task, frame: pd.DataFrame) -> None:
    broken = frame.assign(id=np.arange(200), hour=frame["hour"].astype(float))
    broken.loc[150, "hour"] = 0.5
    pq.write_table(pa.Table.from_pandas(broken, preserve_index=False), task.input, row_group_size=30)
    with pytest.raises(InvalidInput, match=r"rows\.parquet: column 'hour': row 151 \(0\.5\)"):
        run_job(task, LocalRunner())
    assert len(list(task.output.glob("part-*.parquet"))) == 2


def test_the_command_scores_a_folder_of_a_model_and_goes_on(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLYBALL_HOME", str(task.output.with_name("home")))
    words = ["score", str(task.model_folder), str(task.input), str(task.output), "--part-rows", "60", "--keep", "id"]
    for said in ("200 rows in 4 parts\n", "200 rows in 4 parts, 4 parts were there\n"):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"{task.output}: {said}"
    assert answers(task.output).column("id").to_pylist() == list(range(200))
