"""What a hostile or broken server does, and all that is said of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.azure import hostile_server
from tests.azure.hostile_client import (
    Client,
    computes,
    create_compute,
    find,
    list_all,
    list_secrets,
    look,
    look_at_all,
    permissions,
    read_log,
    sizes,
    submit,
)
from tests.azure.hostile_server import LOG, WORKSPACE, Behaviour, Handler, HostileServer

JOB = f"{WORKSPACE}/jobs/job-1"


def body(data: bytes | str, status: int = 200, **headers: str) -> Behaviour:
    encoded = data.encode() if isinstance(data, str) else data
    return lambda handler: handler.answer(encoded, status, **headers)


def value_with_status(data: object, status: int) -> Behaviour:
    return body(json.dumps(data), status)


def value(data: object) -> Behaviour:
    return body(json.dumps(data))


NESTED = "[" * 100_000 + "]" * 100_000
JOBS = f"{WORKSPACE}/jobs"
DETAILS = f"/history/v1.0{WORKSPACE}/runs/job-1/details"
SIZES = (
    f"/subscriptions/{hostile_server.ADDRESS[0]}/providers/Microsoft.MachineLearningServices/locations/westeurope"
    "/vmSizes"
)
FOREIGN = (
    "Azure's answer leads to {}, which is sent no token: it is not a host of AzureCloud, nor of the configured "
    "endpoint."
)
NO_LOG = (
    f"The log `{LOG}` cannot be read from here: Azure's answer leads to {{}}, which is not asked for logs: it is not "
    "a host of AzureCloud, nor of the configured endpoint. Read the log in Azure ML Studio."
)
ELSEWHERE = "https://elsewhere.example"


def next_link(link: object) -> Behaviour:
    return value({"value": [], "nextLink": link})


def leads_back(handler: Handler) -> None:
    handler.json({"value": [], "nextLink": handler.server.hostile.url + handler.path})  # type: ignore[attr-defined]


def leads_on(handler: Handler) -> None:
    server: HostileServer = handler.server.hostile  # type: ignore[attr-defined]
    path = handler.path.partition("?")[0]
    handler.json({"value": [], "nextLink": f"{server.url}{path}?page={len(server.requests)}"})


def log_at(url: object) -> Behaviour:
    return value({"status": "Completed", "logFiles": {LOG: url}})


def storage(data: bytes, status: int = 206, **headers: str) -> Behaviour:
    return lambda handler: handler.blob(data, status, **headers)


def endless(start: bytes, piece: bytes) -> Behaviour:
    def answer(handler: Handler) -> None:
        handler.wfile.write(start)
        handler.flood(piece, 100_000)

    return answer


def cut_off(handler: Handler) -> None:
    handler.raw(206, {"x-ms-version": "1", "Content-Length": "100", "Content-Range": "bytes 0-99/100"}, b"abc")
    handler.close_connection = True


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True


@dataclass(frozen=True)
class Case:
    """A behaviour, and what comes of it.

    Attributes:
        action: What is done.
        path: Where the server behaves so.
        behaviour: How.
        said: What is said of it, the whole of it.
    """

    action: Callable[[Client], object]
    path: str
    behaviour: Behaviour
    said: str


BAD_NUMBER = "OverflowError: Python int too large to convert to C int"
HEADERS = b"HTTP/1.1 206 Partial\r\nx-ms-version: 1\r\n"


def drip_a_log(handler: Handler) -> None:
    handler.raw(206, {"x-ms-version": "1", "Content-Length": "9000"})
    handler.drip(b"x" * 9000)


CASES = {
    # What is no object.
    "null for a job": Case(find, JOB, body("null"), f"HOST{JOB} answered with nothing instead of an object."),
    "a list for a job": Case(find, JOB, body("[]"), f"HOST{JOB} answered with a list instead of an object."),
    "a number for a job": Case(look, JOB, body("7"), f"HOST{JOB} answered with a number instead of an object."),
    "a text for a job": Case(look, JOB, body('"x"'), f"HOST{JOB} answered with a text instead of an object."),
    "nothing for a job": Case(find, JOB, body(""), f"HOST{JOB} answered with nothing."),
    "an empty object for a job": Case(find, JOB, body("{}"), f"HOST{JOB} answered with an empty object."),
    "null for a page": Case(list_all, JOBS, body("null"), f"HOST{JOBS} answered with nothing instead of an object."),
    "a list for a page": Case(look_at_all, JOBS, body("[]"), f"HOST{JOBS} answered with a list instead of an object."),
    "nothing for a page": Case(
        look_at_all, JOBS, body(""), f"HOST{JOBS} answered with nothing; it may be the answer of a proxy."
    ),
    "null for run history": Case(
        read_log, DETAILS, body("null"), f"HOST{DETAILS} answered with nothing instead of an object."
    ),
    "null for a submitted job": Case(
        submit, JOB, body("null"), f"HOST{JOB} answered with nothing instead of an object."
    ),
    "nothing for a submitted job": Case(submit, JOB, body(""), f"HOST{JOB} answered with nothing."),
    "a list for a compute": Case(
        create_compute,
        "/computes/cpu",
        body("[]"),
        f"HOST{WORKSPACE}/computes/cpu answered with a list instead of an object.",
    ),
    "a list for sizes": Case(sizes, "/vmSizes", body("[]"), f"HOST{SIZES} answered with a list instead of an object."),
    "null for a vault": Case(
        list_secrets, "/secrets", body("null"), "HOST/secrets answered with nothing instead of an object."
    ),
    # What is no JSON.
    "JSON that is cut off": Case(
        find,
        JOB,
        body('{"value": ['),
        f"HOST{JOB} answered with something that cannot be read (JSON is invalid: Expecting value: line 1 column 12 "
        "(char 11)).",
    ),
    "a page of a proxy": Case(
        look_at_all,
        JOBS,
        body("<html>", Content_Type="text/html"),
        "127.0.0.1 answered with a web page: something on the way, such as a proxy that wants a login, has answered in "
        "its place.",
    ),
    "a page that says it is JSON": Case(
        look_at_all,
        JOBS,
        body("<html>"),
        f"HOST{JOBS} answered with something that is not JSON; it may be the answer of a proxy.",
    ),
    "invalid UTF-8 for an id": Case(
        look_at_all,
        JOBS,
        body(b'{"value": "\xff\xfe"}'),
        f"HOST{JOBS} answered with a text instead of a list of objects.",
    ),
    "JSON that is nested deep": Case(
        look_at_all,
        JOBS,
        body(f'{{"value": {NESTED}}}'),
        f"HOST{JOBS} answered with something that is not JSON; it may be the answer of a proxy.",
    ),
    "an error that is nested deep": Case(
        look_at_all, JOBS, body(f'{{"error": {NESTED}}}', 400), "Operation returned an invalid status 'Bad Request'"
    ),
    "an error of wrong types": Case(
        find,
        JOB,
        value_with_status({"error": {"code": 5, "message": [], "details": 5, "innererror": "x"}}, 400),
        "Operation returned an invalid status 'Bad Request'",
    ),
    # Fields of wrong types.
    "a text for a job's properties": Case(
        find,
        JOB,
        value({"properties": "x"}),
        f"HOST{JOB} answered with something that cannot be read ('str' object has no attribute 'job_type').",
    ),
    "a text for a job's service": Case(
        find,
        JOB,
        value({"properties": {"jobType": "Command", "services": {"Studio": "x"}}}),
        f"HOST{JOB} answered with something that cannot be read ('str' object has no attribute 'job_service_type').",
    ),
    "numbers for the jobs of a page": Case(
        list_all,
        JOBS,
        value({"value": [1]}),
        f"HOST{JOBS} answered with something that cannot be read (AttributeError: 'int' object has no attribute "
        "'as_dict').",
    ),
    "a text for a listed job's properties": Case(
        look_at_all,
        JOBS,
        value({"value": [{"name": "job-1", "properties": "x"}]}),
        f"HOST{JOBS} answered with something that cannot be read (AttributeError: 'str' object has no attribute "
        "'get').",
    ),
    "a text for the logs": Case(
        read_log,
        DETAILS,
        value({"logFiles": "x"}),
        f"HOST{DETAILS} answered with something that cannot be read (AttributeError: 'str' object has no attribute "
        "'values').",
    ),
    "a number for a log": Case(
        read_log,
        DETAILS,
        log_at(5),
        f"HOST{DETAILS} answered with something that cannot be read (TypeError: the address of a log is not a text).",
    ),
    "a time limit of many years": Case(
        read_log,
        DETAILS,
        value({"runDefinition": {"maxRunDurationSeconds": 1e300}}),
        f"HOST{DETAILS} answered with something that cannot be read ({BAD_NUMBER}).",
    ),
    "a number for permissions": Case(
        permissions,
        "/permissions",
        value({"value": [{"actions": 5}]}),
        f"HOST{WORKSPACE}/providers/Microsoft.Authorization/permissions answered with something that cannot be read "
        "(TypeError: 'int' object is not iterable).",
    ),
    "a text for computes": Case(
        computes,
        "/computes",
        value({"value": "x"}),
        f"HOST{WORKSPACE}/computes answered with a text instead of a list of objects.",
    ),
    "a text for a compute's properties": Case(
        create_compute,
        "/computes/cpu",
        value({"properties": "x"}),
        f"HOST{WORKSPACE}/computes/cpu answered with something that cannot be read (AttributeError: 'str' object has "
        "no attribute 'compute_type').",
    ),
    "a size without a name": Case(
        sizes,
        "/vmSizes",
        value({"value": [{}]}),
        f"HOST{SIZES} answered with something that cannot be read (KeyError: 'name').",
    ),
    "a secret of another age": Case(
        list_secrets,
        "/secrets",
        value({"value": [{"id": "https://v/secrets/x", "attributes": {"created": 1e300}}]}),
        "The key vault answered with something that cannot be read about the secret https://v/secrets/x.",
    ),
    # Lists without an end.
    "a page that leads to itself": Case(
        look_at_all, JOBS, leads_back, f"The list HOST{JOBS} has no end: a page leads to one before it."
    ),
    "a page that leads to itself, to the SDK": Case(
        list_all, JOBS, leads_back, f"The list HOST{JOBS} has no end: a page leads to one before it."
    ),
    "pages without an end": Case(
        list_all, JOBS, leads_on, f"The list HOST{JOBS} has no end: it has more than 20 pages."
    ),
    "pages of computes without an end": Case(
        computes, "/computes", leads_on, f"The list HOST{WORKSPACE}/computes has no end: it has more than 20 pages."
    ),
    "a number for a link": Case(look_at_all, JOBS, next_link(5), f"HOST{JOBS} names a number as its next page."),
    # Other hosts.
    "a link elsewhere": Case(look_at_all, JOBS, next_link(f"{ELSEWHERE}/x"), FOREIGN.format(ELSEWHERE)),
    "a link elsewhere, to the SDK": Case(list_all, JOBS, next_link(f"{ELSEWHERE}/x"), FOREIGN.format(ELSEWHERE)),
    "a link without TLS": Case(list_all, JOBS, next_link("http://127.0.0.1/x"), FOREIGN.format("http://127.0.0.1")),
    "a link with a user": Case(
        look_at_all, JOBS, next_link("https://management.azure.com@elsewhere.example/x"), FOREIGN.format(ELSEWHERE)
    ),
    "a link to a name that begins as Azure's": Case(
        look_at_all,
        JOBS,
        next_link("https://management.azure.com.elsewhere.example/x"),
        FOREIGN.format("https://management.azure.com.elsewhere.example"),
    ),
    "a link to what a user serves on a compute": Case(
        look_at_all,
        JOBS,
        next_link("https://job.nodes.azureml.ms/x"),
        FOREIGN.format("https://job.nodes.azureml.ms"),
    ),
    "a redirect elsewhere": Case(find, JOB, body("", 302, Location=f"{ELSEWHERE}/x"), FOREIGN.format(ELSEWHERE)),
    "a redirect": Case(
        look_at_all, JOBS, body("", 302, Location="/x"), f"HOST{JOBS} answered with a redirect, which is not followed."
    ),
    "a discovery URL elsewhere": Case(
        read_log, WORKSPACE, value(hostile_server.workspace(f"{ELSEWHERE}/discovery")), FOREIGN.format(ELSEWHERE)
    ),
    "no discovery URL": Case(
        read_log,
        WORKSPACE,
        value(hostile_server.workspace(None)),
        f"The workspace {WORKSPACE} has no `discoveryUrl`.",
    ),
    "a discovery URL that cannot be read": Case(
        read_log,
        WORKSPACE,
        value(hostile_server.workspace("https://[")),
        FOREIGN.format("an address that cannot be read"),
    ),
    "run history elsewhere": Case(read_log, "/discovery", value({"api": ELSEWHERE}), FOREIGN.format(ELSEWHERE)),
    "a number for run history": Case(
        read_log, "/discovery", value({"api": 5}), "HOST/discovery has no address of the service `api`."
    ),
    "secrets that go on elsewhere": Case(
        list_secrets,
        "/secrets",
        next_link(f"{ELSEWHERE}/secrets?x"),
        f"The next page of the secrets of the key vault HOST is at another address: {ELSEWHERE}/secrets",
    ),
    # Logs.
    "a log without storage": Case(
        read_log, "/log", body("<html>"), "The answer is not from Azure Storage; it may be the answer of a proxy."
    ),
    "a byte a second": Case(
        read_log,
        "/log",
        drip_a_log,
        "127.0.0.1 took longer than 120 s for one answer.",
    ),
    "a byte a second of a header": Case(
        read_log,
        "/log",
        lambda handler: handler.drip(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 9000),
        "127.0.0.1 took longer than 120 s for one answer.",
    ),
    "headers without an end": Case(
        read_log,
        "/log",
        endless(HEADERS, b"x: y\r\n"),
        "('Connection aborted.', HTTPException('got more than 100 headers'))",
    ),
    "a compressed log that is large": Case(
        read_log,
        "/log",
        storage(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip", Content_Range="bytes 0-1/2"),
        "127.0.0.1 sent more than 4,194,304 bytes in one answer.",
    ),
    "a log that is compressed twice": Case(
        read_log,
        "/log",
        storage(b"x", Content_Encoding="gzip, gzip"),
        "127.0.0.1 sent an answer in the encoding 'gzip, gzip'.",
    ),
    "a part without its range": Case(
        read_log, "/log", storage(b"abc"), "Storage sent 3 bytes as None; bytes 0-4194303 were asked for."
    ),
    "another part": Case(
        read_log,
        "/log",
        storage(b"abc", Content_Range="bytes 5-7/8"),
        "Storage sent 3 bytes as 'bytes 5-7/8'; bytes 0-4194303 were asked for.",
    ),
    "a short part of a log without an end": Case(
        read_log,
        "/log",
        storage(b"abc", Content_Range="bytes 0-2/999999999999"),
        "Storage sent 3 bytes as 'bytes 0-2/999999999999'; bytes 0-4194303 were asked for.",
    ),
    "an empty part": Case(
        read_log,
        "/log",
        storage(b"", Content_Range="bytes 0-0/1"),
        "Storage sent 0 bytes as 'bytes 0-0/1'; bytes 0-4194303 were asked for.",
    ),
    "a redirect of storage": Case(
        read_log, "/log", storage(b"", 307, Location=ELSEWHERE), "Storage answered a read with the status 307."
    ),
    "a part that is cut off": Case(
        read_log,
        "/log",
        cut_off,
        "127.0.0.1 did not complete its answer: ('Connection broken: IncompleteRead(3 bytes read, 97 more expected)', "
        "IncompleteRead(3 bytes read, 97 more expected))",
    ),
    "no answer": Case(
        read_log,
        "/log",
        hangs_up,
        "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
    ),
}
