"""Fail for want of a package, and print what an interpreter prints of an error that it survives: in the way named.

Run by each interpreter for `capture`; needs nothing but the standard library.
"""

import _thread
import asyncio
import atexit
import gc
import logging
import os
import sys
import threading
import time
import weakref


class Leaky:
    """Cannot be finalized."""

    def __del__(self):
        raise OSError("the handle is closed")


def fails(*_):
    raise ValueError("survived")


def fails_behind_another():
    try:
        fails()
    except ValueError as error:
        raise RuntimeError("cannot flush") from error


def fails_while_handling():
    try:
        fails()
    except ValueError:
        raise RuntimeError("cannot flush")  # noqa: B904 - the other kind of chain


def starts_thread():
    threading.Thread(target=print).start()


def generate():
    try:
        yield 1
    finally:
        fails()


async def forget_task():
    task = asyncio.ensure_future(_fail_later())
    await asyncio.sleep(0.01)
    del task
    gc.collect()


async def _fail_later():
    fails()


way = sys.argv[1]
if way == "atexit":
    atexit.register(fails)
elif way == "atexit-thread":
    atexit.register(starts_thread)
elif way == "atexit-cause":
    atexit.register(fails_behind_another)
elif way == "atexit-context":
    atexit.register(fails_while_handling)
elif way == "finalizer":
    Leaky()
elif way == "finalizer-at-exit":
    leaky = Leaky()
elif way == "weakref":
    leaving = threading.Event()
    reference = weakref.ref(leaving, fails)
    del leaving
elif way == "generator":
    generator = generate()
    next(generator)
    del generator
elif way == "plain-thread":
    _thread.start_new_thread(fails, ())
    time.sleep(0.5)
elif way == "thread":
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
elif way == "stdout":
    reads, writes = os.pipe()
    os.close(reads)
    sys.stdout = os.fdopen(writes, "w")
    print("lost")
elif way == "logging":
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    logging.warning("%d", "x")
elif way == "task":
    asyncio.run(forget_task())
elif way == "group":
    atexit.register(lambda: (_ for _ in ()).throw(ExceptionGroup("several", [ValueError("one"), TypeError("two")])))  # noqa: F821

import no_such_package  # noqa: E402, F401
