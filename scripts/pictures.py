"""Pictures of terminals for the documents: the command runs in one, and its output is drawn.

`make pictures` runs it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS, LINES = 110, 60

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
            console.print(Text.from_ansi(_shortened(line)), overflow="ellipsis", no_wrap=True)
        svg = console.export_svg(theme=MONOKAI, code_format=SVG, unique_id="demo")
    svg = svg.replace("<style>", f"<title>{title}</title>\n  <style>", 1)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _shortened(line: str) -> str:
    """Return a line without the parts that are specific to this run."""
    line = re.sub(r"--path=\S*zenml-azureml-demo-\w+", "--path=...", line)
    return re.sub(r"\?wsid=\S+?(?=\x1b|\s|$)", "?wsid=...", line)


def main() -> None:
    """Make all pictures."""
    command = [str(Path(sys.executable).with_name("zenml-azureml")), "demo"]
    svg = picture("zenml-azureml demo, in a terminal", "zenml-azureml demo", shown_by(command))
    (DOCS / "demo.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
