"""The plot of what a job has used."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.cli.jobs_show import saved_plot
from zenml_azureml.contract.usage import MEMORY, UNITS, Metric, Usage
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.usage_plot import duration, usage_svg

SVG = "{http://www.w3.org/2000/svg}"
POINTS = st.lists(st.none() | st.floats(min_value=0, max_value=1e9), max_size=40).map(tuple)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    names = draw(st.lists(st.sampled_from(sorted(UNITS)), unique=True, min_size=1))
    amounts = st.floats(min_value=0, max_value=1e9)
    metrics = {name: Metric(draw(amounts), draw(amounts), draw(st.none() | amounts), draw(amounts)) for name in names}
    series = {name: draw(POINTS) for name in names}
    nodes = draw(st.integers(1, 3))
    return Usage(draw(amounts), metrics, node=draw(st.integers(0, 9)), nodes=nodes, bucket_seconds=0.5, series=series)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("<&>\"'")), st.lists(usages(), min_size=1)
)
def test_any_use_is_a_valid_picture_within_its_frame(title: str, found: list[Usage]) -> None:
    root = ElementTree.fromstring(usage_svg(title, found))

    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    assert root.tag == f"{SVG}svg"
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height


def test_each_node_has_a_line_of_its_own_colour_and_a_name() -> None:
    found = [
        Usage(60, {MEMORY: Metric(3, 2, 16)}, node=node, nodes=2, bucket_seconds=30, series={MEMORY: (1.0, 3.0)})
        for node in (0, 1)
    ]
    root = ElementTree.fromstring(usage_svg("train", found))

    lines = list(root.iter(f"{SVG}polyline"))
    assert len({line.attrib["stroke"] for line in lines}) == 2
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"train", "Memory", "node 0", "node 1", "60 s on 2 nodes", "peak 3 of 16 GB, mean 2"} <= texts


def test_a_plot_never_replaces_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert saved_plot("<svg/>", "zenml-1") == Path("zenml-1.svg")
    with pytest.raises(AzureMLError, match=r"The file .* already exists.\n.*\n.*jobs show zenml-1 --plot > FILE"):
        saved_plot("<svg>another</svg>", "zenml-1")
    assert (tmp_path / "zenml-1.svg").read_text() == "<svg/>"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (45.4, "45 s"), (720, "12 min"), (3600, "60 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_times(seconds: float, words: str) -> None:
    assert duration(seconds) == words
