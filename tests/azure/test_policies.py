"""The policies of all requests: each pipeline has its own, and each request of each operation passes them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, ComputeInstance, Environment
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline import Pipeline, PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest

from tests.conftest import credential_of, point_clients_at
from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.errors import SignInError
from zenml_azureml.azure.auth.refused_tokens import RenewalPolicy
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.policies import EndpointPolicy, WirePolicies
from zenml_azureml.azure.rate_limiter import pacer_for
from zenml_azureml.azure.retry import is_transient
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.clouds import AZURE
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobSpec


class StillTime:
    """Time does not pass, so that a bucket that is empty stays empty; each pause is noted."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(seconds)


class ObservedTransport(WorkspaceTransport):
    """The real transport.

    Attributes:
        urls: The URLs as they were sent.
    """

    def __init__(self) -> None:
        super().__init__(sleeper=lambda _seconds: None)
        self.urls: list[str] = []

    def send(self, request: Any, **options: Any) -> Any:
        self.urls.append(request.url)
        return super().send(request, **options)


class Bench:
    """A connection that knows its endpoint from the stack only, and whose rate limit is exhausted."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        workspace = emulator.context.store.workspaces[0]
        self.cloud = AZURE.at(emulator.base_url)
        address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name, self.cloud)
        self.time = StillTime()
        self.transport = ObservedTransport()
        self.connection = WorkspaceConnection(address, lambda: credential_of(emulator), self.transport, self.time)
        self.job = self.submit()
        pacer = pacer_for(self.cloud.resource_manager, workspace.subscription_id, self.time)
        for method in ("GET", "PUT", "DELETE"):
            for _ in range(250):
                pacer.before(method, f"{emulator.base_url}/subscriptions/x")
        self.forget()

    def forget(self) -> None:
        """Forget all requests and pauses so far."""
        self.transport.urls.clear()
        self.time.pauses.clear()

    def answer_with_pages(self, after: int) -> None:
        """Have a proxy answer all requests of the SDK and of this package with a web page, after some that pass."""
        self.arm.call("DELETE", "/_emulator/faults")
        self.connection.credential.get_token(self.cloud.token_scope)  # the pages are not for the login server
        page = {"client": "azsdk|azure", "after": after, "times": 1000, "status": 200, "html": "<html>Log in</html>"}
        assert self.arm.call("POST", "/_emulator/faults", page).status == 201

    def statuses_of(self, end: str) -> list[int]:
        """The answers to the last requests to a path."""
        found = [entry["status"] for entry in requests_of(self.emulator) if entry["path"].endswith(end)]
        return found[-len(self.transport.urls) :]

    def submit(self) -> str:
        request = JobSpec(f"job-{uuid4()}", "shown", "pool", f"image-{uuid4()}", "echo", {}, {}, own_tag="")
        return JobSubmitter(self.connection).submit(request, ANYWHERE).name

    def have_instance(self) -> None:
        self.arm.call("PUT", "computes/box", _compute("ComputeInstance", {"vmSize": "Standard_DS2_v2"}))

    def have_cluster(self) -> None:
        scale = {"maxNodeCount": 1, "minNodeCount": 0}
        self.arm.call(
            "PUT", "computes/pool", _compute("AmlCompute", {"vmSize": "Standard_DS2_v2", "scaleSettings": scale})
        )


def _compute(kind: str, inner: dict[str, object]) -> dict[str, object]:
    return {"location": "westeurope", "properties": {"computeType": kind, "properties": inner}}


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    settings, clock = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0), SystemClock()
    folder, runtime = tmp_path_factory.mktemp("policies"), SimulatedRuntime(clock, settings)
    with (
        pytest.MonkeyPatch.context() as patch,
        Emulator(folder / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator,
    ):
        point_clients_at(emulator, patch)
        patch.delenv("AZUREML_DEV_URL_MFE")
        yield Bench(emulator)


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    """The same for all tests, without faults and with nothing noted."""
    shared_bench.arm.call("DELETE", "/_emulator/faults")
    shared_bench.forget()
    return shared_bench


def submit_job(bench: Bench, _client: MLClient) -> None:
    bench.submit()


def get_job(bench: Bench, client: MLClient) -> None:
    assert client.jobs.get(bench.job)


def list_jobs(_bench: Bench, client: MLClient) -> None:
    list(client.jobs.list())


def cancel_job(bench: Bench, client: MLClient) -> None:
    client.jobs.begin_cancel(bench.submit())


def make_environment(_bench: Bench, client: MLClient) -> None:
    client.environments.create_or_update(Environment(name=f"made-{uuid4()}", version="1", image="ubuntu"))


def get_environment(bench: Bench, client: MLClient) -> None:
    bench.arm.call("PUT", "environments/made/versions/1", {"properties": {"image": "ubuntu"}})
    assert client.environments.get("made", "1")


def get_workspace(bench: Bench, client: MLClient) -> None:
    assert client.workspaces.get(bench.connection.address.name)


def list_computes(_bench: Bench, client: MLClient) -> None:
    list(client.compute.list())


def get_compute(bench: Bench, client: MLClient) -> None:
    bench.have_cluster()
    assert client.compute.get("pool")


def create_cluster(_bench: Bench, client: MLClient) -> None:
    client.compute.begin_create_or_update(AmlCompute(name=f"c{uuid4().hex[:12]}", size="Standard_DS2_v2")).result()


def create_instance(_bench: Bench, client: MLClient) -> None:
    client.compute.begin_create_or_update(ComputeInstance(name=f"i{uuid4().hex[:12]}", size="Standard_DS2_v2")).result()


def start_instance(bench: Bench, client: MLClient) -> None:
    bench.have_instance()
    bench.arm.call("POST", "computes/box/stop")
    client.compute.begin_start("box").result()


def delete_compute(bench: Bench, client: MLClient) -> None:
    bench.have_cluster()
    client.compute.begin_delete("pool").result()


def list_nodes(bench: Bench, client: MLClient) -> None:
    bench.have_cluster()
    list(client.compute.list_nodes("pool"))


def list_sizes(_bench: Bench, client: MLClient) -> None:
    assert list(client.compute.list_sizes(location="westeurope"))


def list_usage(_bench: Bench, client: MLClient) -> None:
    assert list(client.compute.list_usage(location="westeurope"))


def read_run_history(bench: Bench, _client: MLClient) -> None:
    connection = WorkspaceConnection(  # one that does not know the address of run history yet
        bench.connection.address, lambda: bench.connection.credential, bench.transport, bench.time
    )
    assert connection.get_json(f"{connection.run_history_url}/runs/{bench.job}/details")


def read_roles(bench: Bench, _client: MLClient) -> None:
    path = f"{bench.connection.address.path}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    list(bench.connection.get_pages(f"{bench.cloud.resource_manager}{path}"))


OPERATIONS = (
    submit_job,
    get_job,
    list_jobs,
    cancel_job,
    make_environment,
    get_environment,
    get_workspace,
    list_computes,
    get_compute,
    create_cluster,
    create_instance,
    start_instance,
    delete_compute,
    list_nodes,
    list_sizes,
    list_usage,
    read_run_history,
    read_roles,
)
Operation = Callable[[Bench, MLClient], None]
CLIENTS = pytest.mark.parametrize("client", ["client", "one_try_client"])


def use(bench: Bench, client: str, operation: Operation) -> BaseException | None:
    """Return the error of an operation, if there is one."""
    try:
        operation(bench, getattr(bench.connection, client))
    except (AzureError, AzureMLError) as error:
        return error
    return None


@CLIENTS
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_request_of_each_operation_passes_limiter_and_redirect(
    operation: Operation, client: str, bench: Bench
) -> None:
    use(bench, client, operation)

    paths = [urlsplit(url).path for url in bench.transport.urls]
    assert bench.transport.urls
    assert all(url.startswith(bench.emulator.base_url) for url in bench.transport.urls)
    assert len(bench.time.pauses) == len(
        [path for path in paths if path.startswith("/subscriptions/") and "/history/" not in path]
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_answer_of_each_operation_passes_the_check_for_a_proxys_page(operation: Operation, bench: Bench) -> None:
    passed = 0
    while True:
        bench.forget()
        bench.answer_with_pages(after=passed)
        error = use(bench, "one_try_client", operation)
        if len(bench.transport.urls) == passed:
            break
        assert error is not None
        assert "answered with a web page" in str(error)
        assert is_transient(error)
        passed += 1
    assert passed


def pipelines_of(connection: WorkspaceConnection) -> list[Pipeline[Any, Any]]:
    """All pipelines that send by the transport of a connection."""
    found = [one for one in gc.get_objects() if isinstance(one, Pipeline)]
    return [one for one in found if getattr(one._impl_policies[-1].next, "_sender", None) is connection.transport]


def policies_in(pipeline: Pipeline[Any, Any]) -> list[Any]:
    """The policies of a pipeline in their order, without the runners around some of them."""
    return [getattr(policy, "_policy", policy) for policy in pipeline._impl_policies]


def test_the_next_of_each_policy_is_that_of_its_own_pipeline(bench: Bench) -> None:
    for client in ("client", "one_try_client"):
        for operation in OPERATIONS:
            assert use(bench, client, operation) is None
    pipelines = pipelines_of(bench.connection)

    assert len(pipelines) > 31
    for pipeline in pipelines:
        chain = pipeline._impl_policies
        assert [policy.next for policy in chain[:-1]] == chain[1:]
        assert sum(isinstance(policy, WirePolicies) for policy in policies_in(pipeline)) == 1
    renewals = [one for pipeline in pipelines for one in policies_in(pipeline) if isinstance(one, RenewalPolicy)]
    assert len(renewals) == len({id(one) for one in renewals}) > 31


def test_the_client_that_tries_once_stays_so_beside_the_other(bench: Bench) -> None:
    clients = [bench.connection.client, bench.connection.one_try_client] * 2

    def tries(client: MLClient) -> int:
        bench.forget()
        bench.arm.call("DELETE", "/_emulator/faults")
        bench.arm.call("POST", "/_emulator/faults", {"path": "/computes$", "times": 100, "status": 503})
        with pytest.raises(HttpResponseError):
            list(client.compute.list())
        return len(bench.transport.urls)

    assert [tries(client) for client in clients] == [4, 1, 4, 1]


@pytest.mark.parametrize("answer", ["insufficient_claims", "session_revoked", "invalid_token", "none"])
def test_a_request_that_is_sent_again_with_a_new_token_passes_the_limiter_again(answer: str, bench: Bench) -> None:
    list(bench.connection.client.jobs.list())
    bench.arm.call("POST", "/_emulator/tokens/revoke", {"answer": answer})
    bench.forget()

    list(bench.connection.client.jobs.list())

    assert len(bench.transport.urls) == len(bench.time.pauses) == 2


@pytest.mark.parametrize("claims", ["!!!", "_w==", "", "e30="])
def test_a_challenge_that_cannot_be_decoded_costs_one_more_try(claims: str, bench: Bench) -> None:
    header = f'Bearer error="insufficient_claims", claims="{claims}"'
    refusal = {"path": "/jobs$", "status": 401, "headers": {"WWW-Authenticate": header}, "body": {"error": {}}}
    bench.arm.call("POST", "/_emulator/faults", refusal)

    assert list(bench.connection.client.jobs.list())

    assert bench.statuses_of("/jobs") == [401, 200]


@pytest.mark.parametrize("claims", ["!!!", "e30="])
def test_a_challenge_that_is_repeated_is_answered_once(claims: str, bench: Bench) -> None:
    header = f'Bearer error="insufficient_claims", claims="{claims}"'
    refusal = {"path": "/jobs$", "status": 401, "headers": {"WWW-Authenticate": header}, "times": 100}
    bench.arm.call("POST", "/_emulator/faults", {**refusal, "body": {"error": {"code": "No", "message": "Never."}}})

    with pytest.raises(SignInError, match="its tokens are refused"):
        list(bench.connection.client.jobs.list())

    assert bench.statuses_of("/jobs") == [401, 401]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://management.azure.com/subscriptions?a=b", "https://gateway.example/azure/subscriptions?a=b"),
        ("https://gateway.example/subscriptions", "https://gateway.example/azure/subscriptions"),
        ("https://gateway.example/azure/subscriptions", "https://gateway.example/azure/subscriptions"),
        ("https://gateway.example:8443/subscriptions", "https://gateway.example:8443/subscriptions"),
        ("https://westeurope.api.azureml.ms/history", "https://westeurope.api.azureml.ms/history"),
    ],
)
def test_a_request_goes_to_the_path_of_a_custom_endpoint_however_often_it_is_sent(url: str, sent: str) -> None:
    endpoint = "https://gateway.example/azure"
    policy = EndpointPolicy({"https://management.azure.com": f"{endpoint}/", endpoint: endpoint})
    request = PipelineRequest(HttpRequest("GET", url), PipelineContext(None))

    for _ in range(2):
        policy.on_request(request)

    assert request.http_request.url == sent
