"""What a run will create and what it costs at most. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.live.guard import MOST_MINUTES, MOST_PRICE

#: The timeout of each job in minutes, and the time before and after it for which a node can cost too: it starts, pulls
#: the image, and is idle before it is released.
JOB_MINUTES = 5
OTHER_MINUTES = 15

#: Time limit of a job that waits until it is ended by that, unless a user chooses another one; and the longest.
HOLD_MINUTES = 4
MOST_HOLD_MINUTES = 24 * 60


@dataclass(frozen=True)
class Needs:
    """What one test creates, as its marker says.

    Attributes:
        jobs: Number of jobs.
        nodes: Nodes of each.
        clusters: Number of clusters without nodes.
        environments: Number of environments.
        secrets: Number of secrets in the key vault.
        holds: Number of jobs that wait until the time limit that a user has chosen.
    """

    jobs: int = 0
    nodes: int = 1
    clusters: int = 0
    environments: int = 0
    secrets: int = 0
    holds: int = 0


@dataclass(frozen=True)
class Plan:
    """What all tests of a run create.

    Attributes:
        tests: Number of tests.
        jobs: Number of jobs.
        node_jobs: The same, each as often as it has nodes.
        clusters: Number of clusters without nodes.
        environments: Number of environments.
        secrets: Number of secrets in the key vault.
        size: VM size of the nodes.
        price: US dollars an hour and node.
        hold_minutes: Time limit of the jobs that wait until theirs.
        holds: Number of these.
    """

    tests: int
    jobs: int
    node_jobs: int
    clusters: int
    environments: int
    secrets: int
    size: str
    price: float
    hold_minutes: int = HOLD_MINUTES
    holds: int = 0

    @classmethod
    def of(
        cls, needs: Iterable[Needs], size: str, prices: Mapping[str, float], hold_minutes: int = HOLD_MINUTES
    ) -> Plan:
        """Return the plan of tests.

        Args:
            needs: What each test creates.
            size: VM size of all nodes.
            prices: US dollars an hour by VM size, in lower case.
            hold_minutes: Time limit of the jobs that wait until theirs.

        Raises:
            ValueError: If the price of the size is unknown, or too high.
        """
        listed = list(needs)
        price = prices.get(size.lower())
        if price is None:
            raise ValueError(f"The workspace's region has no price for {size}. SIZE= names another VM size.")
        if price > MOST_PRICE:
            raise ValueError(
                f"{size} costs {price:.2f} USD an hour in the workspace's region, and the most is {MOST_PRICE:.2f}. "
                "SIZE= names another VM size."
            )
        return cls(
            tests=len(listed),
            jobs=sum(one.jobs for one in listed),
            node_jobs=sum(one.jobs * one.nodes for one in listed),
            clusters=sum(one.clusters for one in listed),
            environments=sum(one.environments for one in listed),
            secrets=sum(one.secrets for one in listed),
            size=size,
            price=price,
            hold_minutes=hold_minutes,
            holds=sum(one.holds for one in listed),
        )

    @property
    def most_cost(self) -> float:
        """US dollars, if each job needs all of its time."""
        minutes = self.node_jobs * (JOB_MINUTES + OTHER_MINUTES) + self.holds * self._longer
        return minutes / 60 * self.price

    @property
    def most_minutes(self) -> int:
        """The longest time limit of a job."""
        return max(MOST_MINUTES, self.hold_minutes if self.holds else 0)

    @property
    def _longer(self) -> int:
        return max(0, self.hold_minutes - JOB_MINUTES)

    @property
    def _held(self) -> str:
        if not (self.holds and self._longer):
            return ""
        return f"  one of the jobs waits {self.hold_minutes} minutes, as HOLD= says\n"

    def announcement(self, workspace: str, group: str, region: str, address: str, tag: tuple[str, str]) -> str:
        """Return what a user reads before anything is created.

        Args:
            workspace: Name of the workspace.
            group: Name of its resource group.
            region: Its region.
            address: Address of Resource Manager.
            tag: Key and value of the tag.
        """
        return f"""\
{self.tests} tests on workspace {workspace} (resource group {group}, {region}), at {address}.
They create:
  {self.jobs} jobs, one at a time, each with a timeout of {JOB_MINUTES} minutes, on {self.size}
{self._held}  {self.clusters} compute clusters with 0 nodes
  up to {self.environments} environments, and {self.secrets} secrets in the workspace's key vault
Highest cost: {self.most_cost:.2f} USD ({self.node_jobs} nodes of jobs, {JOB_MINUTES + OTHER_MINUTES} minutes each, \
{self.price:.2f} USD an hour by the prices of the region),
if every job takes all of its time. Storage and traffic add less than a cent.
Jobs and clusters carry the tag {tag[0]}={tag[1]}. Everything is deleted at the end, also after Ctrl+C;
`make live-clean` deletes what a killed run has left."""


def is_confirmed(answer: str) -> bool:
    """True if a user has agreed."""
    return answer.strip().lower() in ("y", "yes")
