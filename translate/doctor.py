"""What is installed here, what it can run on, and what is wrong with it."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "model-translate"
_PACKAGES = (
    *("torch", "tensorflow", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy", "onnx2tf", "transformers"),
    "tensorflow-serving-api",
)
# Builds of the same that are distributions of other names.
_BUILDS = {
    "tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tf-nightly"),
    "tensorflow-serving-api": ("tensorflow-serving-api-gpu",),
}
_FRAMEWORKS = ("torch", "tensorflow")


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    `packages` maps names to versions (None: not installed), `devices` a framework to what it can compute on,
    `engines` the engines of torch2tf to whether they can be used; `problems` are sentences.
    """

    python: str
    platform: str
    packages: Mapping[str, str | None]
    devices: Mapping[str, tuple[str, ...]]
    engines: Mapping[str, bool]
    problems: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Look at the installation; imports both frameworks, as far as they are there."""
    problems: list[str] = []
    packages = {name: _version(name) for name in _PACKAGES}
    problems += _unmet_requirements()
    devices: dict[str, tuple[str, ...]] = {}
    for framework, list_devices in (("torch", _torch_devices), ("tensorflow", _tensorflow_devices)):
        if packages[framework] is None:
            continue
        try:
            devices[framework] = list_devices()
        except Exception as error:
            # A broken installation fails in any way; saying how is what this command is for.
            problems.append(f"{framework} is installed but cannot be used: {type(error).__name__}: {error}")
    if packages["onnx2tf"] is not None and not _has_onnxsim():
        problems.append("onnx2tf is installed but its helper program onnxsim is not; it would skip a step silently")
    native = len(devices) == len(_FRAMEWORKS)
    engines = {"native": native, "onnx2tf": native and packages["onnx2tf"] is not None}
    return Diagnosis(platform.python_version(), platform.platform(), packages, devices, engines, tuple(problems))


def package_versions() -> dict[str, str | None]:
    """Return the versions of what takes part in a translation, None for what is not installed."""
    from translate import __version__

    own = {"translate": __version__, "python": platform.python_version()}
    return own | {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str | None:
    for distribution in (name, *_BUILDS.get(name, ())):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _unmet_requirements() -> list[str]:
    """Compare what this distribution requires with what is installed."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        # A bare checkout: its requirements are not known to pip, the frameworks are the least.
        requirements = list(_FRAMEWORKS)
    problems = []
    for requirement in map(Requirement, requirements):
        # A marker here is an extra that nobody asked for.
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None:
            problems.append(f"{requirement.name} is not installed; pip install '{requirement}'")
        elif version is not None and not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is outside of what is supported: {requirement.specifier}")
    return problems


def _torch_devices() -> tuple[str, ...]:
    torch = importlib.import_module("torch")
    return ("cpu", *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))


def _tensorflow_devices() -> tuple[str, ...]:
    tensorflow = importlib.import_module("tensorflow")
    return tuple(device.name.removeprefix("/physical_device:") for device in tensorflow.config.list_physical_devices())


def _has_onnxsim() -> bool:
    return shutil.which("onnxsim") is not None or (Path(sys.executable).parent / "onnxsim").exists()
