"""Pictures of terminals for the documents: the command runs in one, and its output is drawn.

`make pictures` runs it. `tests/documents/test_pictures.py` fails if the output is not that of the picture any more.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pexpect
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DEMO = Path(__file__).parents[1] / "docs" / "demo.svg"
COLUMNS, LINES = 110, 60

#: The command of the picture.
COMMAND = ["zenml-azureml", "demo", "--with-failure"]

#: As rich draws a terminal, but without its fonts, which a browser would fetch from another host.
SVG = """<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}">
  <style>
    .{unique_id}-matrix {{
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
      font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width
    }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
    </clipPath>
    {lines}
  </defs>
  <rect fill="#272822" width="{width}" height="{height}" rx="8"/>
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""


def shown_by(command: list[str]) -> str:
    """Return the output of a command at a terminal, with its colours.

    Raises:
        SystemExit: If it fails.
    """
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    terminal = pexpect.spawn(
        command[0], command[1:], dimensions=(LINES, COLUMNS), encoding="utf-8", timeout=300, env=environment
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    shown = str(terminal.before).replace("\r\n", "\n")
    if terminal.exitstatus != 0:
        raise SystemExit(f"{command} failed:\n{shown}")
    return shown


def picture(title: str, typed: str, shown: str) -> str:
    """Draw a terminal as an SVG.

    Args:
        title: Description for screen readers.
        typed: The command at the prompt.
        shown: What it wrote; terminal codes for colours are understood.
    """
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.assemble(("$ ", "bold green"), (typed, "bold")))
        for line in shown.rstrip().splitlines():
            text = Text.from_ansi(_shortened(line))
            if "://" in text.plain or text.plain.lstrip().startswith("$"):
                console.print(text, overflow="ellipsis", no_wrap=True)
                continue
            first, *rest = text.wrap(console, COLUMNS - 2) or [text]
            console.print(first)
            for more in rest:
                console.print(Text.assemble("  ", more))
        svg = console.export_svg(theme=MONOKAI, code_format=SVG, unique_id="demo")
    svg = svg.replace("<style>", f"<title>{title}</title>\n  <style>", 1)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _shortened(line: str) -> str:
    """Return a line without the parts that are specific to this run."""
    line = re.sub(r"--(path|state)=\S*zenml-azureml-demo-\w+", r"--\1=...", line)
    return re.sub(r"\?wsid=\S+?(?=\x1b|\s|$)", "?wsid=...", line)


#: Parts of the output that differ from run to run, and what takes their place in a comparison.
_VARYING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]+"), "ID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"finished in .*"), "finished in TIME"),
    (re.compile(r"\d+\.\d+"), "NUMBER"),
    (re.compile(r"\s+"), " "),
]

#: Lines that only show if the emulator is slow enough, and phases of a job that may be too short to be seen.
_OF_TIMING = re.compile(r"\[\w+\] (Preparing|Queued|Starting|Finishing) |Waiting for the compute ")


def comparable(svg: str) -> list[str]:
    """Return the lines of a picture, without what differs from run to run."""
    rows: dict[float, dict[float, str]] = {}
    for part in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 - our own picture
        rows.setdefault(float(part.get("y", 0)), {})[float(part.get("x", 0))] = part.text or ""
    lines = ["".join(parts[x] for x in sorted(parts)).replace("\xa0", " ").strip() for _, parts in sorted(rows.items())]
    for pattern, replacement in _VARYING:
        lines = [pattern.sub(replacement, line) for line in lines]
    return [line for line in _without_use(lines) if not _OF_TIMING.match(line)]


def _without_use(lines: Iterable[str]) -> Iterator[str]:
    """Leave out what steps have used, which differs from machine to machine, as does the number of its lines."""
    is_use = False
    for line in lines:
        is_use = is_use or line.startswith("Use of step ")
        if not is_use:
            yield line
        elif line.endswith("."):
            is_use = False


def draw_demo() -> str:
    """Run the demo, and return its picture."""
    program = str(Path(sys.executable).with_name(COMMAND[0]))
    return picture("zenml-azureml demo, in a terminal", " ".join(COMMAND), shown_by([program, *COMMAND[1:]]))


def main() -> None:
    """Make all pictures."""
    DEMO.write_text(draw_demo(), encoding="utf-8")


if __name__ == "__main__":
    main()
