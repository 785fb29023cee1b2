"""Builds the compiled part, one extension a file of router/_fast.

Environment:
    ROUTER_DEBUG=1      bounds checks on, -O1, symbols kept
    ROUTER_ASAN=1       the same, under AddressSanitizer and UBSan (`make asan`)
    ROUTER_EXT=a,b      build only these (a developer's shortcut)
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ASAN = os.environ.get("ROUTER_ASAN") == "1"
DEBUG = ASAN or os.environ.get("ROUTER_DEBUG") == "1"
ONLY = set(filter(None, os.environ.get("ROUTER_EXT", "").split(",")))

FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer"] if DEBUG else ["-O3", "-g0", "-fno-plt"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize=alignment"] if ASAN else []
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": not DEBUG,
    "embedsignature": True,
    "binding": False,
}

sources = [p for p in sorted(Path("router/_fast").glob("*.pyx")) if not ONLY or p.stem in ONLY]
extensions = [
    Extension(
        f"router._fast.{p.stem}",
        [str(p)],
        extra_compile_args=FLAGS + SANITIZE,
        extra_link_args=SANITIZE,
        depends=[
            str(d) for d in Path("router/_fast").glob("*.[hp]*") if d.suffix in {".h", ".pxd"}
        ],
    )
    for p in sources
]

# A debug build's C files stand elsewhere, or the next build would take them for its own.
C_FILES = "build/debug-c" if DEBUG else None

setup(ext_modules=cythonize(extensions, compiler_directives=DIRECTIVES, build_dir=C_FILES))
