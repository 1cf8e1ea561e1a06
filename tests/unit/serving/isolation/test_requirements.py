"""What a model's folder says of its environment, and what differs from it here."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.isolation.environments import digest_of
from flyball.serving.isolation.requirements import ModelLock, differences, read_lock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def locked(folder: Path, requirements: str, python: str | None = None, flavour: str = "sklearn") -> ModelLock:
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    if python is not None:
        (folder / "python_env.yaml").write_text(python, encoding="utf-8")
    return read_lock(folder, flavour=flavour)


def differing(lock: ModelLock, **installed: str) -> list[str]:
    there = {name.replace("_", "-"): version for name, version in installed.items()}
    return differences(lock, installed=there.get, python="3.12")


def test_a_lock_is_what_mlflow_and_uv_write(folder: Path) -> None:
    digests = "    --hash=sha256:bb \\\n    --hash=sha256:aa\n    # via scikit-learn\n"
    text = f"# made by hand\nnumpy==2.2.6 \\\n{digests}scikit-learn==1.6.1  # pinned\n\n"
    lock = locked(folder, text, "python: 3.11.7\nbuild_dependencies:\n- pip==23.2.1\n")
    assert (lock.python, lock.lines) == (
        "3.11",
        ("numpy==2.2.6 --hash=sha256:aa --hash=sha256:bb", "scikit-learn==1.6.1"),
    )


def test_a_model_without_a_lock_differs_in_nothing(folder: Path) -> None:
    assert differing(read_lock(folder, flavour="sklearn")) == []


def test_what_mlflow_adds_for_itself_counts_only_where_the_model_is_loaded_through_it(folder: Path) -> None:
    text = "mlflow==3.17.2\nmlflow_skinny==3.17.2\nnumpy==2.2.6\n"
    assert locked(folder, text).lines == ("numpy==2.2.6",)
    assert len(locked(folder, text, flavour="python_function").lines) == 3


@pytest.mark.parametrize(
    ("line", "installed", "said"),
    [
        ("numpy==2.2.6", "2.2.6", []),
        ("numpy==2.2.6", "2.2.6+local", []),
        ("numpy==2.2.6", "2.2.7", ["numpy==2.2.6 is wanted, 2.2.7 is installed"]),
        ("numpy>=2,<3", "2.9.0rc1", []),
        ("numpy<2", "2.0.0", ["numpy<2 is wanted, 2.0.0 is installed"]),
        ("numpy", "1.0", []),
        ("numpy==2.2.6; python_version < '3.0'", "1.0", []),
        ("pandas==2.0.0", "2.2.6", ["pandas==2.0.0 is wanted, and not installed"]),
    ],
)
def test_a_requirement_agrees_when_what_is_installed_satisfies_it(
    folder: Path, line: str, installed: str, said: list[str]
) -> None:
    assert differing(locked(folder, line), numpy=installed) == said


@pytest.mark.parametrize(("python", "said"), [("3.12.9", 0), ("3.11.7", 1), ("3.2", 1)])
def test_of_python_the_minor_version_counts(folder: Path, python: str, said: int) -> None:
    assert len(differing(locked(folder, "", f"python: {python}\n"))) == said


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--extra-index-url https://evil.example/simple", Unsupported),
        ("-r other.txt", Unsupported),
        ("-e .", Unsupported),
        ("numpy @ https://evil.example/numpy.whl", Unsupported),
        ("numpy @ file:///etc/passwd", Unsupported),
        ("./code/mine.whl", InvalidInput),
        ("git+https://evil.example/x.git", InvalidInput),
        ("numpy==2.2.6 --config-settings=x", InvalidInput),
        ("numpy==", InvalidInput),
        ("$(rm)", InvalidInput),
    ],
)
def test_a_model_may_not_say_where_packages_come_from(folder: Path, line: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"in the model's requirements\.txt"):
        locked(folder, f"scikit-learn==1.6.1\n{line}\n")


@pytest.mark.parametrize("python", ["python: three\n", "python: [\n"])
def test_a_python_that_is_no_version_is_refused(folder: Path, python: str) -> None:
    with pytest.raises(InvalidInput, match=r"python_env\.yaml"):
        locked(folder, "", python)


def test_files_that_are_no_text_or_too_large_are_refused(folder: Path) -> None:
    (folder / "requirements.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="no text"):
        read_lock(folder, flavour="sklearn")
    with (folder / "requirements.txt").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(InvalidInput, match="larger"):
        read_lock(folder, flavour="sklearn")


def test_the_digest_depends_on_what_is_locked_and_not_on_how_it_is_written(folder: Path) -> None:
    one = digest_of(locked(folder, "numpy==2.2.6\nscipy==1.15.0\n", "python: 3.12.1\n"))
    assert digest_of(locked(folder, "mlflow==3\nscipy == 1.15.0 # x\nnumpy==2.2.6\n", "python: 3.12.9\n")) == one
    assert digest_of(locked(folder, "numpy==2.2.6\nscipy==1.15.1\n")) != one
    assert digest_of(locked(folder, "numpy==2.2.6\nscipy==1.15.0\n", "python: 3.13.0\n")) != one
    assert digest_of(locked(folder, "numpy==2.2.6 --hash=sha256:aa\nscipy==1.15.0\n", "python: 3.12.1\n")) != one
