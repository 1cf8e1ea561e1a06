"""Serve from ONNX what is proven to say the same: at once where a certificate is kept, else as soon as one has been made.

Kept are `certificate.json`, `model.onnx` and, where large batches have a form of their own, `large.npz`, in a folder named by the
digest of the model, the tolerance and the versions of the converters, so that the next start loads nothing of the original
library. A model without a certificate is served as it is, and a child process makes one meanwhile; when it is within tolerance,
the model goes over between two batches.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from flyball.kernel.canonical import digest_json
from flyball.kernel.errors import Corrupted, FlyballError, InvalidInput, MissingExtra, Unavailable
from flyball.kernel.logs import get_logger
from flyball.kernel.runners.child import without_settings
from flyball.kernel.settings import Settings
from flyball.serving.certify import CERTIFICATE, LARGE, MODEL, CertifySpec, library_versions
from flyball.serving.entities import ModelFolder
from flyball.serving.isolation.placement import IN_THE_SERVER
from flyball.serving.model_folder import read_model_folder
from flyball.serving.onnx_path import FastRuntime, Large
from flyball.serving.parity import Certificate, Parity, Tolerance, read_certificate
from flyball.serving.reference_sample import has_sample
from flyball.serving.served_model import FAST_PATH, NO_FAST_PATH, ServedModel
from flyball.serving.tree_bits import TreeBits, read_trees

# Converting a large forest and asking it a thousand rows takes a minute; what takes longer than this hangs.
TIMEOUT_S = 600
NEEDED = "onnxruntime"
_TAIL_CHARACTERS = 500

Tell = Callable[[Certificate], None]

_log = get_logger("serving")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    certificate: Certificate
    content: bytes
    large: Large | None


class FastPath:
    """Load models by the fast path where it is proven. Any number of threads may call.

    Args:
        folder: where certificates and converted models are kept.
        tolerance: what a certificate is held against.
        allow_pickle: as for the original.
        load_original: loads a model as it is.
        tell: is given each certificate that a model is served under, or not served for; from any thread.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tolerance: Tolerance,
        allow_pickle: bool,
        load_original: Callable[[ModelFolder], ServedModel],
        tell: Tell,
    ) -> None:
        self._folder = folder
        self._tolerance = tolerance
        self._allow_pickle = allow_pickle
        self._load_original = load_original
        self._tell = tell
        self._guard = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._threads: list[threading.Thread] = []

    @classmethod
    def by(cls, settings: Settings, *, load_original: Callable[[ModelFolder], ServedModel], tell: Tell) -> FastPath:
        """Keep certificates in the home, and hold them against the tolerance of the settings."""
        return cls(
            settings.home / "fast_path",
            tolerance=Tolerance(
                difference_ppm=settings.fast_path_difference_ppm, sample_rows=settings.fast_path_sample_rows
            ),
            allow_pickle=settings.allow_pickle,
            load_original=load_original,
            tell=tell,
        )

    def load(self, model: ModelFolder) -> ServedModel:
        """Load a model, fast where that is proven, and have the proof made where it is not there yet.

        Raises:
            InvalidInput: as for the original.
            Unsupported: as for the original.
            MissingExtra: as for the original.
        """
        versions = library_versions()
        if NEEDED not in versions:
            return self._plainly(model, "ONNX Runtime is not installed (flyball[onnx])")
        place = self._folder / _key(model.digest, self._tolerance, versions)
        kept = _find(place, model.digest)
        if kept is not None and kept.certificate.verdict is Parity.WITHIN:
            return self._fast(model, kept)
        if kept is not None:
            self._report(kept.certificate)
            return self._plainly(model, kept.certificate.reason)
        if not has_sample(model.path):
            return self._plainly(model, "no sample is stored with the model; log it with an input_example")
        served = self._plainly(model, "the comparison is being made")
        if served.place != IN_THE_SERVER:
            served.describe(
                {FAST_PATH: NO_FAST_PATH, "fast_path_reason": "the model runs in an environment of its own"}
            )
            return served
        self._begin(model, served, place)
        return served

    def certify(self, model: ModelFolder) -> Certificate:
        """Return the certificate of a model: the one that is kept, or one that is made now.

        Raises:
            MissingExtra: the runtime is not installed.
            Unavailable: the comparison failed.
        """
        versions = library_versions()
        if NEEDED not in versions:
            raise MissingExtra.named("ONNX Runtime", "onnx")
        place = self._folder / _key(model.digest, self._tolerance, versions)
        kept = _find(place, model.digest)
        return (kept or self._made(model, place)).certificate

    def wait(self, timeout_s: float) -> None:
        """Wait for the comparisons under way."""
        for thread in self._threads:
            thread.join(timeout_s)

    def close(self) -> None:
        """End the comparisons under way; they are made again at the next start."""
        with self._guard:
            self._closed = True
            for child in self._children:
                child.kill()

    def _plainly(self, model: ModelFolder, reason: str) -> ServedModel:
        served = self._load_original(model)
        served.describe({FAST_PATH: NO_FAST_PATH, "fast_path_reason": reason})
        return served

    def _fast(self, model: ModelFolder, kept: _Kept) -> ServedModel:
        signature = read_model_folder(model.path).signature
        served = ServedModel(self._runtime(model, kept), signature)
        served.describe(_described(kept.certificate))
        self._report(kept.certificate)
        return served

    def _runtime(self, model: ModelFolder, kept: _Kept) -> FastRuntime:
        plan = kept.certificate.plan
        if plan is None:
            raise InvalidInput("the certificate does not say how its model is asked", field="plan")
        signature = read_model_folder(model.path).signature
        return FastRuntime(
            kept.content, signature, plan, large=kept.large, original=lambda: self._load_original(model).runtime
        )

    def _begin(self, model: ModelFolder, served: ServedModel, place: Path) -> None:
        thread = threading.Thread(target=self._certify, args=(model, served, place), name="certify", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _certify(self, model: ModelFolder, served: ServedModel, place: Path) -> None:
        try:
            kept = self._made(model, place)
            if kept.certificate.verdict is Parity.WITHIN:
                served.replace(self._runtime(model, kept), _described(kept.certificate))
            else:
                served.describe({FAST_PATH: NO_FAST_PATH, "fast_path_reason": kept.certificate.reason})
        except Exception as error:  # noqa: BLE001 -- whatever it is, the model goes on being served as it is
            said = error.message if isinstance(error, FlyballError) else type(error).__name__
            served.describe({FAST_PATH: NO_FAST_PATH, "fast_path_reason": f"the comparison failed: {said}"})
            if not self._closed:
                _log.warning("fast_path_failed", reason=said, exc_info=not isinstance(error, FlyballError))
            return
        _log.info("certified", digest=model.digest, verdict=kept.certificate.verdict.value)
        self._report(kept.certificate)

    def _made(self, model: ModelFolder, place: Path) -> _Kept:
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder) as draft:
            spec = CertifySpec(
                model=str(model.path),
                model_digest=model.digest,
                result=draft,
                difference_ppm=self._tolerance.difference_ppm,
                sample_rows=self._tolerance.sample_rows,
                allow_pickle=self._allow_pickle,
            )
            self._run(msgspec.json.encode(spec))
            if _find(place, model.digest) is None:  # another endpoint may have been faster
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(draft, f"{place}.part")
                Path(f"{place}.part").rename(place)
        kept = _find(place, model.digest)
        if kept is None:
            raise Unavailable("the comparison wrote no certificate that can be read")
        return kept

    def _run(self, spec: bytes) -> None:
        """Run the child to its end."""
        with self._guard:
            if self._closed:
                raise Unavailable("the endpoint is closing")
            child = subprocess.Popen(
                [sys.executable, "-m", "flyball.serving.certify"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=without_settings(os.environ),
            )
            self._children.add(child)
        try:
            _, said = child.communicate(spec, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            child.kill()
            child.communicate()
            raise Unavailable(f"the comparison took longer than {TIMEOUT_S} s and was ended") from error
        finally:
            with self._guard:
                self._children.discard(child)
        if child.returncode != 0:
            tail = said.decode(errors="replace")[-_TAIL_CHARACTERS:]
            raise Unavailable(f"the comparison ended with status {child.returncode}: {tail}")

    def _report(self, certificate: Certificate) -> None:
        try:
            self._tell(certificate)
        except Exception as error:  # noqa: BLE001 -- who keeps the evidence may be away; the next start tells it again
            _log.warning("certificate_not_reported", reason=repr(error))


def certified(model: ModelFolder, settings: Settings, *, allow_pickle: bool) -> Certificate:
    """Return the certificate of a model by the settings, kept in the home for those who serve it from there.

    Raises:
        MissingExtra: the runtime is not installed.
        Unavailable: the comparison failed.
    """

    def unserved(_folder: ModelFolder) -> ServedModel:
        raise AssertionError("nothing is served here")

    asked = replace(settings, allow_pickle=allow_pickle)
    with contextlib.closing(FastPath.by(asked, load_original=unserved, tell=lambda _: None)) as path:
        return path.certify(model)


def _described(certificate: Certificate) -> dict[str, str]:
    large = {"large_batches_from_rows": str(certificate.large_from_rows)} if certificate.large_from_rows else {}
    return {
        FAST_PATH: "onnx",
        "certificate": digest_json(certificate.content()),
        "maximum_difference": str(certificate.maximum_relative),
        **large,
    }


def _key(model_digest: str, tolerance: Tolerance, versions: dict[str, str]) -> str:
    return digest_json([2, model_digest, tolerance.difference_ppm, tolerance.sample_rows, dict(versions)])


def _find(place: Path, model_digest: str) -> _Kept | None:
    """Return what is kept, None where there is nothing, or something that does not fit together."""
    try:
        certificate = read_certificate((place / CERTIFICATE).read_bytes())
        if certificate.model_digest != model_digest:
            return None
        within = certificate.verdict is Parity.WITHIN
        content = _bound(place / MODEL, certificate.onnx_digest) if within else b""
        return _Kept(certificate=certificate, content=content, large=_large(place, certificate) if within else None)
    except (OSError, FlyballError):
        return None


def _large(place: Path, certificate: Certificate) -> Large | None:
    if not certificate.large_from_rows:
        return None
    trees = read_trees(_bound(place / LARGE, certificate.large_digest))
    return Large(trees=TreeBits(trees), from_rows=certificate.large_from_rows)


def _bound(file: Path, digest: str) -> bytes:
    """Read a file that a certificate names by its digest."""
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise Corrupted(f"{file.name} is not what was certified")
    return content
