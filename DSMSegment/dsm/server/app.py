"""HTTP application: authentication, validation of requests, and responses of the scheduler."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from dsm._version import __version__
from dsm.errors import DSMError, InputError, ServerError
from dsm.server.http_errors import status_of
from dsm.server.job import Job
from dsm.server.messages import (
    Capabilities,
    ErrorResponse,
    Health,
    JobRequest,
    JobResponse,
    ResultsResponse,
    UserLimits,
    VolumeResponse,
)
from dsm.server.service import Service
from dsm.server.volumes import StoredVolume
from dsm.wire.messages import PROTOCOL_VERSION, Affine

logger = logging.getLogger("dsm.server")

_SWEEP_S = 5.0
# A listener learns after so long that the server is still there, and the server that the listener is.
_HEARTBEAT_S = 10.0
_RETRY_AFTER_S = "2"

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text}
    for status, text in {
        400: "The request is malformed",
        401: "No valid token",
        404: "No such volume or job",
        422: "Something in it cannot be used",
        429: "A quota is used up; see Retry-After",
        503: "Shutting down",
    }.items()
}
_UPLOAD_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text}
    for status, text in {411: "No Content-Length", 413: "Too large", 507: "The disk is full"}.items()
}
_NDJSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {}}, "description": "One JSON object a line, as it happens."}
}

_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "A `.npy` file of three axes, i j k.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Id = Annotated[str, Path(pattern="^[a-z0-9]{1,64}$")]


_bearer = HTTPBearer(auto_error=False, description="Token issued by the operator of the server.")
_routes = APIRouter()


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service_of)]


def _user_of(service: Served, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    user = service.users.find(credentials.credentials) if credentials else None
    if user is None:
        raise ServerError("The token is missing or wrong.", code="token", hint="Ask the server's operator for one.")
    return user


User = Annotated[str, Depends(_user_of)]


def create_app(service: Service, *, at_end: Callable[[], None] = lambda: None) -> FastAPI:
    """Return the application; the workers start and end with it, and then `at_end` is called."""
    app = FastAPI(
        title="DSMSegment",
        version=__version__,
        summary="Text-prompted segmentation of CT and MR. Research use, not a medical device.",
        lifespan=lambda _: _running(service, at_end),
        responses=_PROBLEMS,
        redoc_url=None,
        docs_url=None,
    )
    app.state.service = service
    _add_error_handlers(app)
    app.add_middleware(_RequestLog)
    app.include_router(_routes)
    return app


@asynccontextmanager
async def _running(service: Service, at_end: Callable[[], None]) -> AsyncIterator[None]:
    service.scheduler.start()
    sweeper = asyncio.create_task(_sweep(service))
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await asyncio.to_thread(service.scheduler.close)
        if service.archive is not None:
            await asyncio.to_thread(service.archive.close)
        at_end()


async def _sweep(service: Service) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        await asyncio.to_thread(service.volumes.expire)
        service.scheduler.expire()


@_routes.get("/healthz", operation_id="health")
def health(service: Served) -> Health:
    """Return whether jobs can be run now; needs no token."""
    alive = service.scheduler.num_alive
    return Health(status="ok" if alive else "starting", workers=alive, waiting_jobs=service.scheduler.num_waiting)


@_routes.get("/capabilities", operation_id="capabilities")
def capabilities(service: Served, user: User) -> Capabilities:
    """Return model, version and limits of the server."""
    limits = service.limits
    return Capabilities(
        service="dsm",
        version=__version__,
        protocol=PROTOCOL_VERSION,
        user=user,
        model=service.model.name,
        model_sha256=service.model.digest,
        clicks=service.model.has_clicks,
        workers=service.num_workers,
        archive=service.archive.server if service.archive else "",
        limits=UserLimits(
            upload_bytes=limits.upload_bytes,
            volumes=limits.volumes_per_user,
            bytes=limits.bytes_per_user,
            jobs=limits.jobs_per_user,
            volume_idle_s=limits.volume_idle_s,
            job_idle_s=limits.job_idle_s,
        ),
    )


@_routes.post(
    "/volumes", operation_id="upload", status_code=201, responses=_UPLOAD_PROBLEMS, openapi_extra=_UPLOAD_BODY
)
async def upload(
    request: Request,
    service: Served,
    user: User,
    affine: Annotated[
        list[float],
        Query(min_length=16, max_length=16, description="Voxel index to RAS mm, row by row, one value each."),
    ],
    modality: Annotated[str, Query(pattern="^(CT|MR)$")],
    content_digest: Annotated[
        str, Header(description="Of the body, as RFC 9530 has it.", pattern=r"^sha-256=:[A-Za-z0-9+/]{43}=:$")
    ],
) -> VolumeResponse:
    """Store a volume; it expires if not used."""
    volume = await service.volumes.receive(
        user,
        request.stream(),
        num_bytes=_length_of(request),
        sha256=_digest_of(content_digest),
        affine=_rows_of(affine),
        modality=modality,
    )
    return _volume_response(service, volume)


@_routes.get("/volumes/{volume_id}", operation_id="keep_volume")
def keep_volume(service: Served, user: User, volume_id: Id) -> VolumeResponse:
    """Return a volume, and count the request as use."""
    return _volume_response(service, service.volumes.get(user, volume_id))


@_routes.delete("/volumes/{volume_id}", operation_id="remove_volume", status_code=204)
def remove_volume(service: Served, user: User, volume_id: Id) -> Response:
    """Remove a volume before its time."""
    service.volumes.remove(user, volume_id)
    return Response(status_code=204)


@_routes.post("/jobs", operation_id="submit", status_code=202)
def submit(service: Served, user: User, asked: Annotated[JobRequest, Body()]) -> JobResponse:
    """Queue a job, on a volume or on a series of the archive: it ends with a response, even if a worker dies."""
    service.model.check_clicks(asked.prompts)
    if asked.address:
        if service.archive is None:
            raise InputError("This server has no archive.", code="dicomweb.no_archive", hint="Upload the volume.")
        return _job_response(service.archive.submit(user, asked))
    return _job_response(service.scheduler.submit(user, asked))


@_routes.get("/jobs/{job_id}", operation_id="show_job")
def show_job(service: Served, user: User, job_id: Id) -> JobResponse:
    """Return the state of a job."""
    return _job_response(service.scheduler.get(user, job_id))


@_routes.get("/jobs/{job_id}/events", operation_id="events", responses=_NDJSON, response_class=StreamingResponse)
def events(
    service: Served, user: User, job_id: Id, after: Annotated[int, Query(ge=0, le=2**31)] = 0
) -> StreamingResponse:
    """Stream events from index `after` until the job ends; an empty line is a heartbeat."""
    job = service.scheduler.get(user, job_id)
    return StreamingResponse(_stream(job, after), media_type="application/x-ndjson")


@_routes.get("/jobs/{job_id}/result", operation_id="result")
def result(service: Served, user: User, job_id: Id) -> ResultsResponse:
    """Return all results so far, with their masks."""
    job = service.scheduler.get(user, job_id)
    return ResultsResponse(job=job.id, state=job.state, results=job.results())  # type: ignore[arg-type]


@_routes.post("/jobs/{job_id}/cancel", operation_id="cancel", status_code=202)
def cancel(service: Served, user: User, job_id: Id) -> JobResponse:
    """Stop a job; one that has ended stays as it is."""
    job = service.scheduler.get(user, job_id)
    service.scheduler.cancel(job)
    return _job_response(job)


@_routes.delete("/jobs/{job_id}", operation_id="forget_job", status_code=204)
def forget_job(service: Served, user: User, job_id: Id) -> Response:
    """Stop a job and drop its results."""
    service.scheduler.forget(service.scheduler.get(user, job_id))
    return Response(status_code=204)


async def _stream(job: Job, start: int) -> AsyncIterator[bytes]:
    seen = start
    while True:
        lines, ended = job.lines(seen)
        seen += len(lines)
        job.touch()
        if lines:
            yield b"".join(lines)
        if ended:
            return
        if not lines:
            await job.wait_for_more(seen, _HEARTBEAT_S)
            if not job.lines(seen)[0] and job.is_open:
                yield b"\n"


def _volume_response(service: Service, volume: StoredVolume) -> VolumeResponse:
    return VolumeResponse(
        volume=volume.id,
        shape=volume.shape,
        modality=volume.modality,
        bytes=volume.num_bytes,
        expires_in_s=service.limits.volume_idle_s,
    )


def _job_response(job: Job) -> JobResponse:
    attempts = job.part.attempts if job.part else job.attempts
    return JobResponse(job=job.id, volume=job.volume, state=job.state, attempts=attempts, stored=job.stored)


def _length_of(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not text and "transfer-encoding" in request.headers:
        raise ServerError("The upload does not say how long it is.", code="upload.length", hint="Send Content-Length.")
    if not (text.isascii() and text.isdigit()) or len(text) > 15 or int(text) == 0:
        raise ServerError("There is no upload in the request.", code="request", hint="Send a .npy file.")
    return int(text)


def _digest_of(header: str) -> bytes:
    return base64.b64decode(header.partition("=")[2].strip(":"))


def _rows_of(values: list[float]) -> Affine:
    rows = [tuple(values[start : start + 4]) for start in range(0, 16, 4)]
    return (*rows,)  # type: ignore[return-value]  # four of four: the query says so


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(DSMError)
    async def known(_: Request, error: DSMError) -> JSONResponse:
        return _problem(status_of(error), error.code, str(error), error.hint)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        # Names of fields and what is wrong with them; never what was sent, which may be about a patient.
        where = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        return _problem(422, "request", f"The request is not well formed: {where[:500]}.")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method"}.get(error.status_code, "request")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request))
        return _problem(error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        return _problem(400, "upload.truncated", "The upload broke off.")

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        logger.exception("An unexpected error occurred.", exc_info=error)
        return _problem(500, "internal", f"An unexpected error occurred ({type(error).__name__}).")


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes of a path; the framework names those of one."""
    methods: set[str] = set()
    for route in _routes.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", set())
    return sorted(methods)


def _problem(status: int, code: str, text: str, hint: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    headers = dict(headers or {})
    if status == 429:
        headers["Retry-After"] = _RETRY_AFTER_S
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"code": code, "text": text, "hint": hint}, status, headers)


class _RequestLog:
    """Log of requests, without query, header or body, which hold geometry and prompts of patients."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def noting(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.monotonic() - began
            logger.info("%s %s %d %.3f s", scope["method"], ascii(scope["path"])[1:-1], status, seconds)
