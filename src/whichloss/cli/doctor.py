"""`whichloss doctor`: what this installation can and cannot do, and how to mend it."""

import os
import platform
import shutil
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from .main import Exit

NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "pydantic",
    "yaml",
    "typer",
    "rich",
    "plotly",
    "jinja2",
    "safetensors",
    "PIL",
)
EXTRAS = {
    "medical": ("nibabel", "SimpleITK", "pydicom", "tifffile"),
    "monai": ("monai",),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "track": ("tensorboard", "mlflow"),
    "attribution": ("captum",),
}


def examine() -> Exit:
    """Prints one line a finding; the exit code says whether anything needed is missing."""
    import whichloss

    print(f"whichloss {whichloss.__version__}, Python {platform.python_version()}, torch {_version('torch') or 'none'}")
    broken = [name for name in NEEDED if not _imports(name)]
    for name in broken:
        print(f"BROKEN   {name} does not import: pip install 'whichloss[study]' -c constraints.txt")
    if not broken:
        _devices()
    if shutil.which("g++"):
        print("ok       C++ compiler found: torch.compile works on the CPU")
    else:
        print("note     no C++ compiler: torch.compile needs one on a CPU")
    _kernels()
    if _version("torchvision") and not _imports("torchvision"):
        print(
            "WARNING  torchvision is installed and does not import beside this torch; torchmetrics, lightning and timm"
            " die with it.\n         mend: pip uninstall torchvision (whichloss never needs it)"
        )
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not _imports(name)]
        state = f"missing {', '.join(missing)}: pip install 'whichloss[{extra}]'" if missing else "ready"
        print(f"extra    {extra}: {state}")
    if not os.access(".", os.W_OK):
        print("WARNING  the current folder cannot be written to: use --store DIR")
    return Exit.FAILED if broken else Exit.DONE


def _devices() -> None:
    import torch

    from whichloss.study.execute import plan_workers
    from whichloss.study.machine import cores

    workers, threads, devices = plan_workers("auto", None)
    print(f"ok       {cores()} cores: studies use {workers} workers of {threads} threads on {devices[0]}")
    if not torch.cuda.is_available():
        print("note     no CUDA device: studies run on the CPU")


def _kernels() -> None:
    try:
        from whichloss.core.prepare import in_effect
    except ImportError:  # torch is broken, which is said above
        return
    how = in_effect()
    if how.startswith("compiled"):
        print(f"ok       losses of images and volumes run through kernels: {how}")
    elif os.environ.get("WHICHLOSS_KERNELS", "auto") != "auto":
        print(f"note     losses run as {how}, as WHICHLOSS_KERNELS asks")
    else:
        print(
            f"note     losses run as {how}: there are no compiled kernels for this machine, which are several times"
            " faster\n         mend: install a C compiler, or pip install ziglang, and install whichloss again"
        )


def _imports(name: str) -> bool:
    try:
        import_module(name)
    except Exception:  # a package that does not fit can fail in any way, not only with ImportError
        return False
    return True


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
