"""HTTP session of the DICOMweb client: trust, timeouts and repeated attempts; diagnosis of its errors."""

from __future__ import annotations

import socket
import ssl
import urllib.parse
from http import HTTPStatus
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from dsm.core.loopback import is_loopback
from dsm.errors import RemoteError
from dsm.io.dicomweb_access import TOKEN_VARIABLE, DicomwebAccess

_MAX_WAIT_S = 30.0
_RETRIED = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

_TOKEN_HINT = f"Set ${TOKEN_VARIABLE} to a token or to NAME:PASSWORD, or give --token-file."

# Status: code, what it means, remedy.
_REFUSALS: dict[int, tuple[str, str, str]] = {
    HTTPStatus.UNAUTHORIZED: ("remote.token", "{server} wants a valid token.", _TOKEN_HINT),
    HTTPStatus.FORBIDDEN: (
        "remote.token",
        "{server} does not allow this to the user of the token.",
        "Ask its administrator for the right to search, read and store.",
    ),
    HTTPStatus.NOT_FOUND: (
        "dicomweb.not_found",
        "There is nothing at {what}.",
        "Check the address; `dsm dicomweb find` lists what the server has.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "dicomweb.not_stored",
        "The file is larger than {server} or a proxy before it takes.",
        "Raise its limit (nginx: client_max_body_size).",
    ),
}


def make_session(server: str, access: DicomwebAccess) -> requests.Session:
    """Return a session that speaks to a server encrypted, or within this machine.

    Raises:
        OSError: If the certificate file cannot be read.
    """
    session = requests.Session()
    session.auth = _Authorization(access)
    session.hooks["response"].append(_plain_content_type)
    # No other address without TLS, which a redirect might lead to.
    del session.adapters["http://"]
    session.mount("https://", _Adapter(access))
    parts = urllib.parse.urlsplit(server)
    if parts.scheme == "http":
        session.mount(f"http://{parts.netloc}/", _Adapter(access))
    if is_loopback(parts.hostname or ""):
        session.trust_env = False  # no proxy
    return session


def _plain_content_type(response: requests.Response, **_: Any) -> None:
    """Remove `; charset=utf-8`, for which dicomweb-client 0.61 ignores what a server says about storing."""
    kind = response.headers.get("Content-Type", "")
    if "multipart" not in kind:
        response.headers["Content-Type"] = kind.partition(";")[0].strip()


class _Authorization(AuthBase):
    """Credentials in the header, and none of a ~/.netrc."""

    def __init__(self, access: DicomwebAccess) -> None:
        self._access = access

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers.update(self._access.headers)
        return r


class _Retry(Retry):
    """Repetition of what failed for a passing reason, after at most half a minute."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, _MAX_WAIT_S)


class _Adapter(HTTPAdapter):
    def __init__(self, access: DicomwebAccess) -> None:
        certificate = access.certificate
        # The system's authorities, which a department adds its own to, or those of the file alone.
        self._context = ssl.create_default_context(cafile=str(certificate) if certificate else None)
        self._verify: bool | str = str(certificate) if certificate else True
        retries = _Retry(
            total=4,
            connect=2,
            read=2,
            other=0,  # a certificate that is not trusted stays so
            backoff_factor=0.5,
            status_forcelist=_RETRIED,
            allowed_methods=("GET",),
            raise_on_status=False,
        )
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002  ($REQUESTS_CA_BUNDLE would win over --certificate)
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        request.headers.pop("Host", None)  # dicomweb-client's lacks the port
        return super().send(request, stream, timeout, self._verify, cert, proxies)


def explain(error: OSError, what: str, server: str) -> RemoteError:
    """Return an error of `requests` (all are `OSError`) as a sentence.

    Args:
        error: As raised.
        what: Address that was asked for.
        server: Address of the service.
    """
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _refused(error.response, what, server)
    code, text, hint = _diagnosis(error, server)
    return RemoteError(text, code=code, hint=hint, details=repr(error))


def _refused(response: requests.Response, what: str, server: str) -> RemoteError:
    status = response.status_code
    other = (
        "dicomweb.status",
        f"{{server}} answers with status {status}.",
        "Try again later." if status in _RETRIED else "Its log says why.",
    )
    code, text, hint = _REFUSALS.get(status, other)
    return RemoteError(text.format(server=server, what=what), code=code, hint=hint, details=response.text[:1000])


# From the particular to the general: an SSL error is an OSError, too.
_DIAGNOSES: tuple[tuple[tuple[type[Exception], ...], str, str, str], ...] = (
    (
        (requests.exceptions.InvalidSchema,),
        "remote.tls",
        "{server} leads to an address that is not encrypted.",
        "Give the https:// address of the service itself.",
    ),
    (
        (ssl.SSLCertVerificationError,),
        "remote.certificate",
        "The certificate of {server} is refused: {why}.",
        "Check the name and the date, or give the certificate of your department's authority by --certificate.",
    ),
    ((ssl.SSLError,), "remote.tls", "{server} does not speak HTTPS.", "Check the port."),
    (
        (socket.gaierror,),
        "remote.name",
        "There is no machine with the name of {server}.",
        "Check the spelling, and the VPN.",
    ),
    (
        (ConnectionRefusedError,),
        "remote.refused",
        "Nothing listens at {server}.",
        "Check the port, and that the server runs.",
    ),
    (
        (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError),
        "remote.timeout",
        "{server} does not answer in time.",
        "Check the address and the firewall; the machine may be off or busy.",
    ),
    ((Exception,), "remote.broken", "The connection to {server} broke off.", "Try again."),
)


def _diagnosis(error: OSError, server: str) -> tuple[str, str, str]:
    cause = _cause(error)
    for kinds, code, text, hint in _DIAGNOSES:
        if isinstance(cause, kinds):
            return code, text.format(server=server, why=getattr(cause, "verify_message", "")), hint
    raise AssertionError(error)


def _cause(error: BaseException) -> BaseException:
    """Return the innermost error that `requests` and urllib3 have wrapped."""
    inner = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((one for one in error.args if isinstance(one, BaseException)), None) or error.__cause__
    return _cause(inner) if inner is not None else error
