"""A step that trains with `torch.distributed` on several nodes: nothing of it knows of ZenML or of Azure ML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import mean

import pytest

from tests.e2e.conftest import Project

#: Of x, y and what the model shall make of them; each of the four processes trains on every fourth one.
SAMPLES = [[float(x), float(y), 3.0 * x - 2.0 * y + 1.0 + (x * y) % 3] for x in range(4) for y in range(4)]
STEPS, LEARNING_RATE = 25, 0.05

TRAINING = """
import json, os, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

two_by_two = {"type": "pytorch", "process_count_per_instance": 2}
settings = {"step_operator": AzureMLStepOperatorSettings(instance_count=2, distribution=two_by_two)}

@step
def load(samples: list[list[float]]) -> list[list[float]]:
    return samples

@step(step_operator="azureml", settings=settings)
def train(samples: list[list[float]], steps: int, learning_rate: float) -> dict[str, list[list[float]]]:
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(2, 1, dtype=torch.float64))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    shard = torch.tensor(samples[rank::size], dtype=torch.float64)

    def backward():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(shard[:, :2]), shard[:, 2:]).backward()

    def of_all(tensors):
        mine = torch.cat([tensor.detach().flatten() for tensor in tensors])
        everyones = [torch.empty_like(mine) for _ in range(size)]
        dist.all_gather(everyones, mine)
        return [one.tolist() for one in everyones]

    def gradients():
        return of_all(parameter.grad for parameter in model.parameters())

    told = {"places": [[rank, size, int(os.environ["NODE_RANK"])]], "first": of_all(model.parameters())}
    dist.all_gather_object(places := [None] * size, told["places"][0])
    told["places"] = places
    with model.no_sync():
        backward()
    told["local"] = gradients()
    backward()
    told["averaged"] = gradients()
    for _ in range(steps):
        backward()
        optimizer.step()
    told["last"] = of_all(model.parameters())
    dist.destroy_process_group()
    return told

@pipeline(enable_cache=False, settings=NO_BUILD)
def training(samples: list[list[float]], steps: int, learning_rate: float):
    train(load(samples), steps, learning_rate)

if __name__ == "__main__":
    training(*json.loads(sys.argv[1]))
    step_run = last_run().steps["train"]
    print("TOLD", step_run.status, json.dumps(step_run.output.load()))
"""


@dataclass
class Linear:
    """A linear model of two numbers: what `TRAINING` trains, by hand.

    Attributes:
        parameters: Two weights and a bias.
    """

    parameters: list[float]

    def gradient(self, samples: list[list[float]]) -> list[float]:
        """Of the mean squared error."""
        inputs = [[x, y, 1.0] for x, y, _ in samples]
        errors = [
            sum(weight * value for weight, value in zip(self.parameters, row, strict=True)) - sample[2]
            for row, sample in zip(inputs, samples, strict=True)
        ]
        return [2 * mean(error * row[i] for error, row in zip(errors, inputs, strict=True)) for i in range(3)]

    def descend(self, samples: list[list[float]]) -> None:
        """One step of gradient descent, on all samples at once."""
        steps = [LEARNING_RATE * part for part in self.gradient(samples)]
        self.parameters = [before - step for before, step in zip(self.parameters, steps, strict=True)]


def test_gradients_are_averaged_over_the_processes_of_all_nodes(project: Project) -> None:
    output = project.succeed(TRAINING, json.dumps([SAMPLES, STEPS, LEARNING_RATE]))

    told = json.loads(output.partition("TOLD completed ")[2])
    assert told["places"] == [[0, 4, 0], [1, 4, 0], [2, 4, 1], [3, 4, 1]]
    assert told["first"] == [told["first"][0]] * 4  # each process made other weights, and all have got rank 0's
    model = Linear(told["first"][0])
    alone = [model.gradient(SAMPLES[rank::4]) for rank in range(4)]
    averaged = [mean(gradient[i] for gradient in alone) for i in range(3)]
    assert told["local"] == [pytest.approx(gradient) for gradient in alone]
    assert all(gradient != pytest.approx(averaged, rel=1e-3) for gradient in alone)
    assert told["averaged"] == [pytest.approx(averaged)] * 4
    for _ in range(STEPS):
        model.descend(SAMPLES)
    assert told["last"] == [pytest.approx(model.parameters)] * 4
