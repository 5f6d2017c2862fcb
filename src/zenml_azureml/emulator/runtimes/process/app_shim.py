"""Gives the Python processes of a job an `/app` of their own: a folder of the job.

ZenML's entrypoint makes `/app`, changes into it and extracts code below it, as it can in a
container. This file is copied into the job's folder as `sitecustomize.py`, so that each Python of
the job runs it when it starts; there it replaces the functions that take paths by ones that look
below the job's `app` folder.
Standard library only: it runs in whatever interpreter the job has.

What it does not reach: programs that are not Python, unless Python starts them and `/app/...` is an
argument of its own; C libraries that open `/app/...` themselves; `python -I`, `-E` and `-S`.
"""

from __future__ import annotations

import _io
import _posixsubprocess
import builtins
import io
import os
import posix
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

CONTAINER_APP = "/app"

# os functions by how many paths they begin with.
_ONE_PATH = (
    *("access", "chdir", "chflags", "chmod", "chown", "getxattr", "lchflags", "lchmod", "lchown"),
    *("listdir", "listxattr", "lstat", "mkdir", "mkfifo", "mknod", "open", "pathconf", "readlink"),
    *("remove", "removexattr", "rmdir", "scandir", "setxattr", "stat", "statvfs", "truncate"),
    *("unlink", "utime"),
)
_TWO_PATHS = ("link", "rename", "replace", "symlink")
# ... and those that take a program and its arguments.
_PROGRAM = ("execv", "execve", "posix_spawn", "posix_spawnp")


def below(path: Any, app: str) -> Any:
    """Return the target of a path: below `app` if it is `/app` or in it, else unchanged.

    Args:
        path: Anything that `os` takes for a path: text, bytes, path-like, file descriptor.
        app: The folder that is to be seen as `/app`.

    Returns:
        The path to use, of the type that `os.fspath` gives.
    """
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if isinstance(path, bytes):
        return os.fsencode(below(os.fsdecode(path), app))
    if not isinstance(path, str):
        return path
    if path == CONTAINER_APP or path.startswith(CONTAINER_APP + "/"):
        return app + path[len(CONTAINER_APP) :]
    return path


class _Mapped:
    """A built-in function whose leading paths are mapped.

    Not a plain function: as an attribute of a class it would become a method, which a built-in does
    not (Python 3.10's pathlib relies on that). And pickle must find it under the built-in's name.
    """

    def __init__(self, function: Any, app: str, paths: int, *, program: bool = False) -> None:
        self._function = function
        self._app = app
        self._paths = paths
        self._program = program
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = [below(argument, self._app) for argument in args[: self._paths]]
        rest = list(args[self._paths :])
        if self._program and rest:
            rest[0] = [below(argument, self._app) for argument in rest[0]]
        for name in ("path", "src", "dst", "file"):
            if name in kwargs:
                kwargs[name] = below(kwargs[name], self._app)
        return self._function(*given, *rest, **kwargs)

    def __reduce__(self) -> str:
        return str(self.__name__)


def _replace(function: Any, replacement: Any, *modules: Any) -> None:
    for module in modules:
        setattr(module, function.__name__, replacement)
    # shutil asks these sets whether the safe way of deleting a tree is to be had.
    for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if function in supported:
            supported.add(replacement)


def install(app: str) -> None:
    """Have this process see a folder as `/app`.

    Args:
        app: The folder.
    """
    for names, paths in ((_ONE_PATH, 1), (_TWO_PATHS, 2)):
        for name in names:
            if function := getattr(os, name, None):
                _replace(function, _Mapped(function, app, paths), os, posix)
    for name in _PROGRAM:
        if function := getattr(os, name, None):
            _replace(function, _Mapped(function, app, 1, program=True), os, posix)
    _replace(open, _Mapped(open, app, 1), builtins, io, _io)
    _replace(io.open_code, _Mapped(io.open_code, app, 1), io, _io)

    fork_exec = _posixsubprocess.fork_exec

    def mapped_fork_exec(args: Any, programs: Any, close_fds: Any, fds: Any, cwd: Any, *rest: Any) -> Any:
        args = [below(argument, app) for argument in args]
        programs = [below(program, app) for program in programs]
        return fork_exec(args, programs, close_fds, fds, below(cwd, app), *rest)

    _posixsubprocess.fork_exec = mapped_fork_exec
    # An interpreter's .pth files run before this and may have imported subprocess, which keeps the
    # function under a name of its own.
    if "subprocess" in sys.modules and hasattr(sys.modules["subprocess"], "_fork_exec"):
        sys.modules["subprocess"]._fork_exec = mapped_fork_exec  # type: ignore[attr-defined]


def _run_own_sitecustomize(shim: str) -> None:
    """Run the `sitecustomize` that the interpreter would have run without this one."""
    others = [entry for entry in sys.path if entry != shim]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _shim = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
    install(os.path.join(os.path.dirname(_shim), "app"))  # noqa: PTH118, PTH120
    _run_own_sitecustomize(_shim)
