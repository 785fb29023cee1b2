"""Builds the compiled part, one extension a file of router/_fast.

Environment:
    ROUTER_DEBUG=1      bounds checks and line tracing on, -O0, symbols kept
    ROUTER_EXT=a,b      build only these (a developer's shortcut)
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("ROUTER_DEBUG") == "1"
ONLY = set(filter(None, os.environ.get("ROUTER_EXT", "").split(",")))

FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-g0", "-fno-plt"]
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": not DEBUG,
    "linetrace": DEBUG,
    "embedsignature": True,
    "binding": False,
}

sources = [p for p in sorted(Path("router/_fast").glob("*.pyx")) if not ONLY or p.stem in ONLY]
extensions = [
    Extension(
        f"router._fast.{p.stem}",
        [str(p)],
        extra_compile_args=FLAGS,
        depends=[
            str(d) for d in Path("router/_fast").glob("*.[hp]*") if d.suffix in {".h", ".pxd"}
        ],
    )
    for p in sources
]

setup(ext_modules=cythonize(extensions, compiler_directives=DIRECTIVES, annotate=DEBUG))
