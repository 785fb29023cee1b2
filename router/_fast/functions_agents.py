"""What a User-Agent header tells: browser, system and device, for the vendors that ask for it."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Any

from router._fast.function_table import function

people_function = partial(function, group="People and places")

_MAX_CHARS = 2000
_NUMBER = r"(\d+(?:[._]\d+)*)"
_BROWSERS = (
    ("Opera Mini", r" OPR/.*Mini|Opera Mini", rf"(?:OPR|Opera Mini|Opera)/{_NUMBER}"),
    ("Opera", r" OPR/|^Opera/", rf"(?:OPR|Version|Opera)/{_NUMBER}"),
    ("BlackBerry", r"(?i:BlackBerry|PlayBook|BB10)", rf"(?:BlackBerry |Version/){_NUMBER}"),
    ("Internet Explorer Mobile", r"IEMobile|WPDesktop", rf"(?:IEMobile/|rv:){_NUMBER}"),
    ("Samsung Internet", r"SamsungBrowser/", rf"SamsungBrowser/{_NUMBER}"),
    ("Microsoft Edge", r"Edge|Edg/|EdgA/|EdgiOS/", rf"Edg(?:e|A|iOS)?/{_NUMBER}"),
    ("Facebook Mobile", r"FBIOS|FBAN|FBAV", rf"FBAV/{_NUMBER}"),
    ("Chrome", r"Chrome", rf"Chrome/{_NUMBER}"),
    ("Chrome iOS", r"CriOS", rf"CriOS/{_NUMBER}"),
    ("UC Browser", r"UCWEB|UCBrowser", rf"(?:UCBrowser|UCWEB)/{_NUMBER}"),
    ("Firefox iOS", r"FxiOS", rf"FxiOS/{_NUMBER}"),
    ("Mobile Safari", r"iPhone.*Safari", rf"Version/{_NUMBER}"),
    ("Safari", r"Safari", rf"Version/{_NUMBER}"),
    ("Android Mobile", r"Android", rf"[Aa]ndroid {_NUMBER}"),
    ("Konqueror", r"Konqueror", rf"Konqueror[:/]{_NUMBER}"),
    ("Firefox", r"Firefox", rf"Firefox/{_NUMBER}"),
    ("Internet Explorer", r"MSIE|Trident/", rf"(?:rv:|MSIE ){_NUMBER}"),
    ("Mozilla", r"Gecko/", rf"rv:{_NUMBER}"),
)
"""In this order: most browsers name others too."""
_SYSTEMS = (
    ("iOS", r"iPhone|iPad|iPod", rf"OS {_NUMBER}"),
    ("Windows Phone", r"Windows Phone", rf"Windows Phone(?: OS)? {_NUMBER}"),
    ("Android", r"Android", rf"Android {_NUMBER}"),
    ("Chromium OS", r"CrOS", rf"CrOS \S+ {_NUMBER}"),
    ("Mac OS", r"Mac OS X|Macintosh", rf"Mac OS X {_NUMBER}"),
    ("Windows", r"Windows", rf"Windows NT {_NUMBER}"),
    ("Ubuntu", r"Ubuntu", rf"Ubuntu/{_NUMBER}"),
    ("Linux", r"Linux", ""),
)
_WINDOWS = {"10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.1": "XP"}
_MAKERS = (
    ("Samsung", r"\b(SM-\w+|GT-\w+|SAMSUNG[\w -]+)"),
    ("Google", r"\b(Pixel[\w ]*|Nexus [\w ]+?)(?= Build|\))"),
    ("Huawei", r"\b((?:HUAWEI|ALE|ANE|VOG|ELE|EML|CLT|LYA|MAR)-?\w+)"),
    ("Xiaomi", r"\b(Redmi[\w ]*|Mi [\w ]+|POCO[\w ]*|M\d{4}\w+)(?= Build|\))"),
    ("OnePlus", r"\b(ONEPLUS \w+|IN20\d\d|LE21\d\d|KB20\d\d)"),
    ("Motorola", r"\b(moto[\w ()]*|XT\d{4})"),
    ("LG", r"\b(LM-\w+|LG-\w+)"),
    ("Sony", r"\b(SO-\w+|Xperia \w+)"),
)


def _version(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text) if pattern else None
    return match[1].replace("_", ".") if match else None


def _first(table: tuple[tuple[str, str, str], ...], text: str) -> tuple[str | None, str | None]:
    for name, sign, version in table:
        if re.search(sign, text):
            return name, _version(version, text)
    return None, None


def _device(text: str, system: str | None) -> tuple[str | None, str | None, str | None]:
    """Manufacturer, model and kind of the device."""
    for model in ("iPhone", "iPad", "iPod"):
        if model in text:
            return "Apple", model, "tablet" if model == "iPad" else "mobile"
    if "Macintosh" in text:
        return "Apple", "Macintosh", None
    if system != "Android":
        return None, None, None
    kind = "mobile" if "Mobile" in text else "tablet"
    for maker, pattern in _MAKERS:
        if match := re.search(pattern, text):
            return maker, match[1].strip(), kind
    return (
        None,
        _version(r"Android [\d.]+; (?:[a-z]{2}-[a-z]{2}; )?([^;)]+?)(?: Build|\))", text),
        kind,
    )


@lru_cache(maxsize=4096)
def _read(text: str) -> dict[str, str]:
    browser, browser_version = _first(_BROWSERS, text)
    system, system_version = _first(_SYSTEMS, text)
    if system == "Windows" and system_version is not None:
        system_version = _WINDOWS.get(system_version, system_version)
    maker, model, kind = _device(text, system)
    found = {
        "browser": browser, "browser_version": browser_version,
        "browser_major": browser_version and browser_version.split(".", 1)[0], "os": system,
        "os_version": system_version, "manufacturer": maker, "model": model, "device": kind,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


@people_function(
    "user_agent(text)",
    "What a User-Agent tells, where it does: `browser`, `browser_version`, `browser_major` (the "
    "version's first number), `os`, `os_version`, "
    "`manufacturer`, `model`, and `device`, which is `mobile` or `tablet`.",
    'user_agent("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 '
    '(KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1")',
    {
        "browser": "Mobile Safari", "browser_version": "17.1", "browser_major": "17", "os": "iOS",
        "os_version": "17.1", "manufacturer": "Apple", "model": "iPhone", "device": "mobile",
    },
)  # fmt: skip
def user_agent(text: Any) -> Any:
    return _read(text) if isinstance(text, str) and 0 < len(text) <= _MAX_CHARS else None
