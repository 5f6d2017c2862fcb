"""Routes that list, arm and disarm scenarios."""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.admin.bodies import body
from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS
from zenml_azureml.emulator.scenarios.rules import ScenarioRule


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get("/_emulator/scenarios", _list_scenarios),
        web.get("/_emulator/scenario", _list_armed_scenarios),
        web.post("/_emulator/scenario", _arm_scenario),
        web.delete("/_emulator/scenario", _disarm_scenarios),
    ]


async def _list_scenarios(_request: web.Request) -> web.Response:
    """Answer all scenarios, with their sources and guesses."""
    return web.json_response([scenario.as_json() for scenario in SCENARIOS.values()])


async def _list_armed_scenarios(request: web.Request) -> web.Response:
    return web.json_response([armed.as_json() for armed in request.app[CONTEXT].scenarios.armed])


async def _arm_scenario(request: web.Request) -> web.Response:
    """Arm a scenario for the next jobs that match, or let it happen to those that run now."""
    rule = await body(request, ScenarioRule)
    context = request.app[CONTEXT]
    armed = context.scenarios.arm(rule, [job for place in context.store.workspaces for job in place.jobs.values()])
    return web.json_response(armed.as_json(), status=201)


async def _disarm_scenarios(request: web.Request) -> web.Response:
    """Disarm all scenarios; jobs that one has met already are not affected."""
    request.app[CONTEXT].scenarios.armed.clear()
    return web.Response(status=204)
