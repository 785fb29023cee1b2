"""AWS Signature Version 4 of a request (AWS General Reference, "Signing AWS API requests")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from time import gmtime, strftime
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec


class Credentials(msgspec.Struct, frozen=True):
    """Who signs, for which service where."""

    service: str
    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def sign(
    credentials: Credentials,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now_ms: int,
) -> dict[str, str]:
    """The headers to add: X-Amz-Date, Authorization, and where they are needed the session's token
    and S3's hash of the body. All of `headers` are signed."""
    parts = urlsplit(url)
    stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(now_ms / 1000))
    payload = hashlib.sha256(body).hexdigest()
    added = {"X-Amz-Date": stamp}
    if credentials.session_token:
        added["X-Amz-Security-Token"] = credentials.session_token
    if credentials.service == "s3":
        added["X-Amz-Content-Sha256"] = payload
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **added}.items()}
    signed["host"] = parts.netloc.rpartition("@")[2]
    names = ";".join(sorted(signed))
    request = "\n".join([
        method,
        _path(parts.path, credentials.service),
        _query(parts.query),
        "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
        names,
        payload,
    ])  # fmt: skip
    scope = f"{stamp[:8]}/{credentials.region}/{credentials.service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    added["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return added


def _path(path: str, service: str) -> str:
    """Each segment encoded once, and for all services but S3 once more."""
    plain = quote(unquote(path or "/"), safe="/-_.~")
    return plain if service == "s3" else quote(plain, safe="/-_.~")


def _query(query: str) -> str:
    pairs = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
