"""Routes of the page: the exchange of a one-time key, the page and its files, and the data that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.access import PAGE_PATHS
from zenml_azureml.emulator.http.faults import FAULTS
from zenml_azureml.emulator.http.recorder import RECORDER
from zenml_azureml.emulator.page.sessions import COOKIE, PAGE_SESSIONS
from zenml_azureml.emulator.page.views import detail, log_files, overview
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.state import Workspace

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATIC = Path(__file__).parent / "static"
_FILES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
#: Bytes of a log in one answer.
_MOST_LOG_BYTES = 256 * 1024

#: No script, style or frame of elsewhere, and nothing is stored.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def routes() -> list[web.RouteDef]:
    """Return the routes of the page."""
    return [
        web.post("/_emulator/open", _new_link),
        web.get("/", _enter),
        web.get("/runs/{run}", _open_run),
        # Guess: the address of a data asset in Studio. This page has none for data.
        web.get("/data/{asset}/{version}/details", _open_jobs),
        web.get(PAGE_PATHS, _page),
        web.get(f"{PAGE_PATHS}/{{file:page\\.(?:css|js)}}", _file),
        web.get(f"{PAGE_PATHS}/data", _overview),
        web.get(f"{PAGE_PATHS}/jobs/{{workspace}}/{{job}}", _job),
        web.get(f"{PAGE_PATHS}/jobs/{{workspace}}/{{job}}/log", _log),
    ]


def _for_sessions(handler: _Handler) -> _Handler:
    """Return a handler that answers browsers with a session only."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.app[PAGE_SESSIONS].knows(request):
            return _closed()
        found = await handler(request)
        found.headers.update(_HEADERS)
        return found

    return answer


async def _new_link(request: web.Request) -> web.Response:
    """Answer a link that opens the page once; needs the key of the emulator's own interface."""
    context = request.app[CONTEXT]
    key = request.app[PAGE_SESSIONS].new_key(context.clock.now())
    return web.json_response({"url": f"{context.base_url}/?key={key}"}, status=201)


async def _enter(request: web.Request) -> web.StreamResponse:
    """Exchange a one-time key for a cookie, and go to the page."""
    sessions, key = request.app[PAGE_SESSIONS], request.query.get("key")
    if key is None:
        return _see_other(PAGE_PATHS) if sessions.knows(request) else _closed()
    session = sessions.exchange(key, request.app[CONTEXT].clock.now())
    if session is None:
        return _see_other(PAGE_PATHS) if sessions.knows(request) else _closed("This link has been used, or is too old.")
    answer = _see_other(PAGE_PATHS)
    # Lax: links to runs open from other pages too. The page changes nothing, and other pages cannot read it.
    answer.set_cookie(COOKIE, session, httponly=True, secure=True, samesite="Lax", path="/")
    return answer


@_for_sessions
async def _open_run(request: web.Request) -> web.StreamResponse:
    """Go to the job that a link to Studio names."""
    name = request.match_info["run"]
    for workspace in request.app[CONTEXT].store.workspaces:
        if workspace.name.lower() == _workspace_in(request) and workspace.find_job(name) is not None:
            return _see_other(f"{PAGE_PATHS}#/jobs/{workspace.workspace_id}/{quote(name, safe='')}")
    return _see_other(f"{PAGE_PATHS}#/jobs")


@_for_sessions
async def _open_jobs(_request: web.Request) -> web.StreamResponse:
    """Go to the jobs, for a link to Studio that names something else."""
    return _see_other(f"{PAGE_PATHS}#/jobs")


def _workspace_in(request: web.Request) -> str:
    return request.query.get("wsid", "").rstrip("/").rpartition("/")[2].lower()


@_for_sessions
async def _page(_request: web.Request) -> web.StreamResponse:
    return _static("page.html")


@_for_sessions
async def _file(request: web.Request) -> web.StreamResponse:
    return _static(request.match_info["file"])


@_for_sessions
async def _overview(request: web.Request) -> web.StreamResponse:
    return web.json_response(overview(request.app[CONTEXT], request.app[RECORDER], request.app[FAULTS]))


@_for_sessions
async def _job(request: web.Request) -> web.StreamResponse:
    found = _find(request)
    if found is None:
        return web.json_response({"error": "There is no such job."}, status=404)
    return web.json_response(await asyncio.to_thread(detail, request.app[CONTEXT].folder, *found))


@_for_sessions
async def _log(request: web.Request) -> web.StreamResponse:
    """Answer a part of a log: from the offset `from`, or the end of the log; `X-Offset` is the offset of its end."""
    found = _find(request)
    files = dict(log_files(found[1])) if found else {}
    file = files.get(request.query.get("file", ""))
    if file is None:
        return web.json_response({"error": "There is no such log."}, status=404)
    wanted = request.query.get("from", "")
    begin, content = await asyncio.to_thread(_part, file, int(wanted) if wanted.isdecimal() else None)
    headers = {"X-Begin": str(begin), "X-Offset": str(begin + len(content))}
    return web.Response(body=content, content_type="text/plain", charset="utf-8", headers=headers)


def _part(file: Path, begin: int | None) -> tuple[int, bytes]:
    """Return where a part of a log begins, and the part. Only whole lines, unless one line is longer than a part."""
    with file.open("rb") as log:
        size = log.seek(0, 2)
        begin = max(0, size - _MOST_LOG_BYTES) if begin is None else min(begin, size)
        log.seek(begin)
        content = log.read(_MOST_LOG_BYTES)
    end = content.rfind(b"\n") + 1
    return begin, content[:end] if end and len(content) == _MOST_LOG_BYTES else content


def _find(request: web.Request) -> tuple[Workspace, Job] | None:
    for workspace in request.app[CONTEXT].store.workspaces:
        if workspace.workspace_id == request.match_info["workspace"]:
            job = workspace.find_job(request.match_info["job"])
            return None if job is None else (workspace, job)
    return None


def _static(name: str) -> web.Response:
    return web.Response(body=(_STATIC / name).read_bytes(), content_type=_FILES[name], charset="utf-8")


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={**_HEADERS, "Location": path})


def _closed(reason: str = "This browser has not been let in.") -> web.Response:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Azure ML emulator</title>'
        f"<h1>Azure ML emulator</h1><p>{escape(reason)} To open the page, run this command in a terminal:</p>"
        "<pre>zenml-azureml emulator open</pre></html>"
    )
    return web.Response(status=401, text=text, content_type="text/html", headers=_HEADERS)
