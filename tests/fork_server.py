"""`translate` and `python` in a moment: each call is a fork of one process that has loaded both frameworks already.

Loading them takes longer than all that the commands in the documentation do. A server that has loaded them and has run
nothing with them has one thread, so it can be forked. Its programs come first on the `PATH` of what `start` yields.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SOCKET = "TRANSLATE_FORK_SERVER"
# What most commands import, and nothing that starts a thread.
_LOADED = (
    "networkx",
    "onnxscript.function_libs.torch_lib.ops",
    "torch._dynamo",
    "torch._inductor.ir",
    "translate.routes",
    "translate.converters.keras_to_torch.lowerings",
    "translate.converters.onnx_to_tf.lowerings",
    "translate.converters.torch_to_onnx",
)
# OpenBLAS would start threads when numpy is loaded, and PyTorch's would spin beside TensorFlow's.
_SETTINGS = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# A call is one message, which this kind of socket hands over whole.
_KIND = socket.AF_UNIX, socket.SOCK_SEQPACKET


@contextlib.contextmanager
def start(folder: Path) -> Iterator[dict[str, str]]:
    """Run a server that lives in `folder`; yields the environment in which its programs are found."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("translate", "python"):
        # Neither the site's packages nor the environment's settings are wanted for passing the call on.
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" {name} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, **_SETTINGS, "PATH": path, _SOCKET: str(folder / "socket")}
    with subprocess.Popen([sys.executable, "-m", __spec__.name, "serve"], env=environment, cwd=ROOT) as server:
        try:
            while not (folder / "socket").exists():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    raise RuntimeError(f"the server ended with {server.wait(0.1)}")
            yield environment
        finally:
            server.terminate()


def call(arguments: list[str]) -> int:
    """Run a program in a fork of the server, here and with this process's files; returns its exit code."""
    with socket.socket(*_KIND) as connection:
        connection.connect(os.environ[_SOCKET])
        request = json.dumps([arguments, str(Path.cwd()), dict(os.environ)])
        socket.send_fds(connection, [request.encode()], [0, 1, 2])
        # A process that crashed has sent nothing.
        return int.from_bytes(connection.recv(1) or b"\xff", "big")


def serve() -> None:
    """Load the frameworks, and answer calls until the process is ended."""
    from tests.torchvision_ops import declare
    from translate.startup import quiet_frameworks

    with quiet_frameworks():
        for module in _LOADED:
            importlib.import_module(module)
        declare()
    # Nobody waits for the children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(*_KIND) as server:
        name = os.environ[_SOCKET]
        server.bind(f"{name}.new")
        server.listen()
        os.rename(f"{name}.new", name)
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    (program, *arguments), folder, environment = json.loads(request)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        _PROGRAMS[program](arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


def _translate(arguments: list[str]) -> None:
    from translate.cli import main

    main.main(arguments)


def _python(arguments: list[str]) -> None:
    option, *rest = arguments
    sys.argv = arguments
    if option == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    elif option == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(option).parent))
        runpy.run_path(option, run_name="__main__")


def _page(arguments: list[str]) -> None:
    from tests.pages import run

    sys.path.insert(0, "")
    run(Path(arguments[0]))


_PROGRAMS = {"translate": _translate, "python": _python, "page": _page}

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        sys.exit(call(sys.argv[1:]))
