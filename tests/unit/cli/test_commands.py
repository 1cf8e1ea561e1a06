"""Each command against a real server, through the entry that the shell calls."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer

from flyball.cli.main import COMMANDS, cli, main
from flyball.server.migrations import newest
from flyball.server.platform import Platform
from flyball.serving.capture import PredictionBatch, record_tables
from flyball.serving.capture_rules import KEEP_ALL
from flyball.serving.entities import Prediction

MODEL_ID = "m-" + "1" * 32
LABEL = {"prediction_id": "p-1", "value": 1.0, "time_ms": 5}


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    status: int
    out: str
    err: str


Run = Callable[..., Shown]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("cli") / "home"
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as found:
        yield found


@pytest.fixture
def run(server: TrackingServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("FLYBALL_HOME", str(server.platform.settings.home))
    monkeypatch.setenv("FLYBALL_SERVER_URL", server.url)

    def call(*arguments: str) -> Shown:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return Shown(int(ended.value.code or 0), printed.out, printed.err)

    return call


ML_MODEL = b"""
flavors: {}
signature:
  inputs: '[{"type": "long", "name": "age"}, {"type": "double", "name": "price"}]'
"""


@pytest.fixture(scope="module")
def model(server: TrackingServer) -> Platform:
    """Register a version, and put an endpoint in front of it."""
    platform = server.platform
    platform.artifacts.put(f"model/{MODEL_ID}", "MLmodel", [ML_MODEL])
    platform.registry.create_model("elec", actor="user:owner")
    source = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
    platform.registry.create_version("elec", source=source, model_id=MODEL_ID, actor="user:owner")
    platform.deployments.create("elec", "elec", 1, actor="user:owner")
    return platform


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(run: Run, command: str) -> None:
    shown = run(command, "--help")
    assert (shown.status, shown.out.startswith("Usage:")) == (0, True)


def test_an_unknown_command_is_refused(run: Run) -> None:
    assert run("lable").status == 2


def test_identities_and_tokens(run: Run) -> None:
    assert run("identity", "add", "user:ann", "--role", "engineer").out == "user:ann  engineer\n"
    assert "user:ann    engineer" in run("identity", "list").out
    secret = run("token", "create", "user:ann", "--label", "laptop", "--days", "1").out.strip()
    assert secret.startswith("fb_")
    listed = next(line for line in run("token", "list").out.splitlines() if "laptop" in line)
    assert secret not in listed
    assert run("token", "revoke", secret.split("_")[1]).out == "revoked\n"
    assert run("token", "list").out.count("yes") == 1


def test_an_error_is_one_sentence_and_status_one(run: Run) -> None:
    shown = run("identity", "add", "ann", "--role", "viewer")
    assert (shown.status, shown.out, shown.err.count("\n")) == (1, "", 1)
    assert shown.err.startswith("flyball: 'ann' is no identity name")


def test_data_is_added_listed_and_shown(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("x,y\n1,a\n2,b\n", encoding="utf-8")
    assert run("data", "add", "small", str(table)).out.startswith("small/1  2 rows  ")
    assert run("data", "add", "small", str(table)).out.startswith("small/1  ")
    assert "small/1" in run("data", "list").out
    assert "from a.csv" in run("data", "show", "small/1").out
    assert "no version 99" in run("data", "show", "small/99").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("data", "show", "small"), "write NAME/N"),
        (("data", "show", "absent/99"), "there is no dataset 'absent'"),
        (("data", "show", "../../me"), "write NAME/N"),
        (("model", "show", "a b?/1"), "a b?"),
        (("policy", "show", "none/1"), "none"),
        (("endpoint", "show", "../me"), "../me"),
        (("endpoint", "show", ".."), "is no name"),
        (("endpoint", "rollback", "none"), "none"),
        (("monitor", "windows", "none"), "none"),
        (("request", "show", "none"), "none"),
        (("decision", "show", "none"), "none"),
        (("alert", "acknowledge", "none"), "none"),
        (("approval", "approve", "none", "--digest", "0"), "none"),
        (("approval", "withdraw", "none", "--reason", "late"), "none"),
        (("loop", "promote", "l", "0", "--training", "a/1", "--holdout", "a/1"), ">= 1"),
        (("pipeline", "run", "nothing"), "module:function"),
        (("pipeline", "run", "a:b", "--param", "x"), "name=value"),
        (("pipeline", "run", "a:b", "--param", "x=" + "9" * 20), "no canonical JSON"),
        (("pipeline", "run", "a:b", "--param", "d=@none/1"), "none"),
        (("why", "alert", "none"), "none"),
    ],
)
def test_what_is_not_there_or_not_right_is_said_in_a_sentence(run: Run, arguments: tuple[str, ...], words: str) -> None:
    shown = run(*arguments)
    assert (shown.status, shown.out) == (1, "")
    assert words in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"policy: [", b"policy: p\npolicy: p\n", b"rules: []\n", b""])
def test_a_policy_file_that_cannot_be_read_is_refused(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.yaml").write_bytes(content)
    shown = run("policy", "publish", str(tmp_path / "p.yaml"))
    assert (shown.status, shown.err.startswith("flyball: ")) == (1, True)


def test_a_policy_is_published_once_and_shown(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("policy: strict\nrules:\n- rule: signature_present\n", encoding="utf-8")
    published = run("policy", "publish", str(path)).out
    assert published.startswith("strict/1  ")
    assert run("policy", "publish", str(path)).out == published
    assert run("policy", "show", "strict/1").out == published


def test_models_endpoints_monitors_and_loops_are_shown(run: Run, model: Platform, tmp_path: Path) -> None:
    assert run("model", "show", "elec/1").out.startswith("elec/1  ")
    assert "champion v1 100%" in run("endpoint", "list").out
    assert "not running" in run("endpoint", "show", "elec").out
    listed = run("monitor", "list")
    assert "not monitored  elec      elec/1" in listed.out
    assert listed.err == "elec has no monitor: flyball monitor init elec\n"
    proposed = run("monitor", "init", "elec")
    assert "monitor: elec\nendpoint: elec\nmodel: elec\nwindow: 1d\n" in proposed.out
    assert "# window: there is no traffic yet" in proposed.out
    for kind in ("policy", "monitor", "loop"):
        text = files("flyball.demo").joinpath("files").joinpath(f"{kind}.yaml").read_text(encoding="utf-8")
        path = tmp_path / f"{kind}.yaml"
        path.write_text(text.replace("endpoint: elec2", "endpoint: elec").replace("model: elec2", "model: elec"))
        if kind == "policy":
            assert run("policy", "publish", str(path)).status == 0
        else:
            shown = run(kind, "set", str(path))
            assert shown.status == 0, shown.err
    assert run("monitor", "windows", "elec2").err == "none\n"
    assert "no window that starts at 0" in run("monitor", "revisions", "elec2", "0").err
    assert "not monitored" not in run("monitor", "list").out
    assert "nothing yet" in run("monitor", "list").out
    assert run("monitor", "report", "elec2").out == ""
    assert "has reported no window" in run("monitor", "report", "elec2", "--start-ms", "0").err
    assert run("loop", "requests", "elec2").err == "none\n"
    for noun in ("alert", "approval"):
        assert run(noun, "list").err == "none\n"
    assert "elec/1" in run("why", "version", "elec/1").out


def test_a_version_is_described_by_what_it_learned_from(run: Run, model: Platform, tmp_path: Path) -> None:
    rows = {"x": [float(row) for row in range(200)], "prediction": [row % 2 for row in range(200)]}
    pq.write_table(pa.table({"x": rows["x"]}), tmp_path / "training.parquet")
    pq.write_table(pa.table({**rows, "label": rows["prediction"]}), tmp_path / "evaluation.parquet")
    options = ["--training", str(tmp_path / "training.parquet"), "--evaluation", str(tmp_path / "evaluation.parquet")]
    shown = run("model", "describe", "elec/1", *options)
    assert shown.status == 0, shown.err
    assert [line.split()[0] for line in shown.out.splitlines()] == ["evidence", "baseline", "profile", "sketches"]
    assert shown.out.splitlines()[1:] == run("model", "show", "elec/1").out.splitlines()[3:]
    assert run("model", "describe", "elec/9", *options).status == 1


def test_what_an_endpoint_captures_is_shown_and_changed(run: Run, model: Platform) -> None:
    assert run("endpoint", "capture", "elec").out == "share 1  mode interval  other features keep\n"
    shown = run("endpoint", "capture", "elec", "--share", "0.25", "--durable", "--hash", "feature.age")
    assert shown.out.splitlines() == [
        "share 0.25  mode durable  other features keep",
        "column       treatment",
        "feature.age  hash",
    ]
    assert run("endpoint", "capture", "elec", "--drop", "caller").out.splitlines()[2:] == [
        "caller       drop",
        "feature.age  hash",
    ]
    wrong = run("endpoint", "capture", "elec", "--drop", "feature.aeg")
    assert wrong.status == 1
    assert "feature.age" in wrong.err
    assert "share" in run("endpoint", "capture", "elec", "--share", "2").err
    assert model.deployments.get("elec").capture.share == 0.25
    assert run("endpoint", "capture", "elec", "--reset").out.startswith("share 1  mode interval")
    assert model.deployments.get("elec").capture == KEEP_ALL


def test_two_tables_are_compared_without_a_server(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_SERVER_URL", "http://127.0.0.1:1")
    before, after, page = (tmp_path / name for name in ("before.parquet", "after.parquet", "report.html"))
    pq.write_table(pa.table({"x": [float(x) for x in range(500)], "y": ["a", "b"] * 250}), before)
    pq.write_table(pa.table({"x": [float(x + 400) for x in range(500)], "y": ["a", "b"] * 250}), after)
    same = run("monitor", "compare", str(before), str(before))
    assert (same.status, "drifted" in same.out) == (0, False)
    changed = run("monitor", "compare", str(before), str(after), "--html", str(page))
    assert (changed.status, changed.out.count("drifted")) == (3, 1)
    assert page.read_text().startswith("<!doctype html>")
    told = run("monitor", "compare", str(before), str(after), "--json", "--column", "x")
    assert json.loads(told.out)["drifted"] == ["x"]
    refused = run("monitor", "compare", str(before), str(page))
    assert (refused.status, "is no Parquet file" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no JSON"),
        ('{"labels": []}', "labels"),
        (json.dumps([{**LABEL, "valu": 1}]), "valu"),
        (json.dumps([{**LABEL, "time_ms": "x"}]), "time_ms"),
        (json.dumps([LABEL]), "p-1"),
        ('[{"prediction_id": "p", "value": NaN, "time_ms": 1}]', "no JSON"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    run: Run, model: Platform, tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    shown = run("endpoint", "label", "elec", str(tmp_path / "labels.json"))
    assert (shown.status, words in shown.err) == (1, True), shown.err


def test_a_pipeline_is_queued_with_its_parameters(run: Run, server: TrackingServer) -> None:
    shown = run("pipeline", "run", "a.b:c", "--param", "rate=0.5", "--param", "name=x y", "--no-wait")
    found = server.platform.pipelines.get(shown.out.strip())
    assert dict(found.parameters) == {"rate": 0.5, "name": "x y"}
    assert found.id in run("pipeline", "list").out


def test_the_audit_is_verified_here_and_offline(run: Run, tmp_path: Path) -> None:
    assert run("audit", "verify").out.startswith("intact: ")
    exported = tmp_path / "chain.jsonl"
    assert run("audit", "export", str(exported)).status == 0
    assert run("audit", "verify", str(exported)).out.startswith("intact: ")
    lines = exported.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"user:owner", b"user:eve")
    exported.write_bytes(b"".join(lines))
    shown = run("audit", "verify", str(exported))
    assert (shown.status, shown.err.startswith("BROKEN at entry 2")) == (1, True)


def test_the_schema_is_shown(run: Run, server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_DATABASE_URL", server.platform.settings.resolved_database_url)
    assert run("db", "status").out == f"at {newest()}, newest {newest()}\n"
    assert run("db", "upgrade").out.startswith("schema at revision ")


def test_an_unknown_setting_is_named_with_its_near_misses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_PROT", "1")
    shown = run("identity", "list")
    assert (shown.status, "did you mean port" in shown.err) == (1, True)


def test_help_comes_without_the_libraries_of_the_server() -> None:
    heavy = ("pyarrow", "numpy", "sqlalchemy", "alembic", "starlette", "uvicorn", "sklearn")
    script = (
        "import sys\nfrom flyball.cli.main import main\n"
        f"try: main(['--help'])\nexcept SystemExit: print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.splitlines()[-1] == "[]"


def test_every_command_that_a_message_or_a_page_names_is_there() -> None:
    source = Path(main.__code__.co_filename).parents[1]
    named: dict[str, str] = {}
    for path in [*source.rglob("*.py"), *source.rglob("*.js"), *source.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for words in re.findall(r"(?:[`'“(]|with:? |run:? |by:? )flyball ([a-z]+(?: [a-z]+)?)", text):
            named[words] = path.name
    assert len(named) >= 8
    unknown = {words: name for words, name in named.items() if not _is_command(words.split())}
    assert unknown == {}


def _is_command(words: list[str]) -> bool:
    context = click.Context(cli)
    found = cli.get_command(context, words[0])
    if isinstance(found, click.Group) and len(words) > 1:
        return found.get_command(context, words[1]) is not None
    return found is not None


def test_predictions_are_listed_and_copied_as_files_that_others_read(run: Run, model: Platform, tmp_path: Path) -> None:
    assert run("predictions", "list", "copied").err == "none\n"
    for number in (1, 2):
        [batch] = record_tables([a_batch(f"copied-{number}", at_ms=number * 86_400_000)])
        model.predictions.accept("copied", batch)
    listed = run("predictions", "list", "copied", "--since", "1970-01-03").out.splitlines()
    assert len(listed) == 2
    assert "1970-01-03 00:00" in listed[1]
    shown = run("predictions", "export", "copied", str(tmp_path / "out"))
    assert shown.out == f"{tmp_path / 'out'}: 2 predictions, 2 files copied\n"
    assert run("predictions", "export", "copied", str(tmp_path / "out")).out.endswith("2 predictions, 0 files copied\n")
    assert pq.read_table(tmp_path / "out").column("prediction_id").to_pylist() == ["copied-1", "copied-2"]
    assert "no moment" in run("predictions", "list", "copied", "--since", "yesterday").err


def a_batch(name: str, *, at_ms: int) -> PredictionBatch:
    return PredictionBatch(
        request_id=name,
        prediction_ids=(name,),
        times_ms=(at_ms,),
        served_ms=at_ms,
        version=1,
        version_digest="d" * 64,
        role="champion",
        latency_ms=1.0,
        caller="user:owner",
        columns={"age": np.array([30])},
        prediction=Prediction(labels=np.array([1]), scores=None),
    )


def test_a_registered_model_is_fetched_to_be_scored_with(run: Run, model: Platform, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.csv", tmp_path / "out"
    source.write_text("age,price\n30,1.5\n")
    told = [
        run("score", name, str(source), str(output)) for name in ("models:/elec/1", "models:/elec/2", "models:/elec@x")
    ]
    assert [shown.status for shown in told] == [1, 1, 1]
    assert "flavour" in told[0].err  # its MLmodel file, which names none, came whole
    assert "elec" in told[1].err
    assert "alias x" in told[2].err
    assert "neither" in run("score", str(tmp_path), str(source), str(output)).err
    assert run("score", "models:/elec", str(source), str(output)).status == 1


def test_rules_and_scraping_are_printed_or_written(run: Run, server: TrackingServer, tmp_path: Path) -> None:
    printed = run("monitor", "export", "prometheus")
    assert printed.status == 0
    assert "alert: FlyballDrift" in printed.out
    assert f"url: {server.url}/metrics/targets" in printed.out
    written = run("monitor", "export", "prometheus", "--out", str(tmp_path / "new" / "folder"))
    files = [tmp_path / "new" / "folder" / name for name in ("flyball-rules.yml", "prometheus.yml")]
    assert written.out.split() == [str(path) for path in files]
    assert all(path.read_text(encoding="utf-8") in printed.out for path in files)


def test_dashboards_are_written_and_an_option_that_nobody_knows_is_refused(run: Run, tmp_path: Path) -> None:
    written = run("monitor", "export", "grafana", "--out", str(tmp_path)).out.split()
    assert [Path(path).is_file() for path in written] == [True] * 5
    assert run("monitor", "export", "grafana", "--out", str(tmp_path), "--promtheus", "http://p").status == 2
    refused = run("monitor", "export", "grafana", "--out", str(tmp_path), "--prometheus", "p:9090")
    assert (refused.status, "no address of a Prometheus" in refused.err) == (1, True)
