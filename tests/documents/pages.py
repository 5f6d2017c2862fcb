"""Documents as programs: what one shell does that runs all of a document's code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.documents.markdown import Block

NOT_RUN = "not run: "
OUTPUT = "output"

#: Blocks that show a part of a script are run after these lines.
IMPORTS = """\
from zenml import CommandStep, get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings
from zenml.config.retry_config import StepRetryConfig
from zenml_azureml import AzureMLStepOperatorSettings
"""

_PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]+)>")


class UnmarkedBlockError(Exception):
    """A code block that neither is run nor says why not."""


@dataclass(frozen=True)
class Page:
    """A document's code blocks.

    Attributes:
        blocks: All of them, in their order.
        values: What stands for `<NAME>` in them.
    """

    blocks: list[Block]
    values: dict[str, str]

    def script(self) -> str:
        """A bash script that runs the blocks and says where each begins.

        Raises:
            UnmarkedBlockError: For a block that cannot be run and is not marked.
        """
        parts = ["set -euo pipefail"]
        for block in self.run():
            parts += [f"echo; echo '{_heading(block)}'", self._run(block)]
        return "\n".join(parts) + "\n"

    def run(self) -> list[Block]:
        """The blocks that are run."""
        return [block for block in self.blocks if not block.mark.startswith(NOT_RUN) and block.mark != OUTPUT]

    def missing_output(self, output: str) -> list[str]:
        """What blocks promise as the output of the block before them, and what was not printed.

        Args:
            output: What the script has printed.

        Returns:
            One line each; `...` in a block stands for any text.
        """
        missing, before = [], None
        for block in self.blocks:
            if block.mark != OUTPUT:
                before = block
                continue
            assert before is not None, f"{block} is the output of nothing"
            _, _, printed = output.partition(_heading(before))
            printed = " ".join(printed.partition("### ")[0].split())
            for line in block.text.splitlines():
                pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("..."))
                if not re.search(pattern, printed):
                    missing.append(f"{block}: {line}")
        return missing

    def _run(self, block: Block) -> str:
        if "\nEND_OF_FILE\n" in block.text:
            raise UnmarkedBlockError(f"{block} cannot be written to a file from a shell")
        if block.language in ("shell", "bash", "sh"):
            return self._filled_in(block)
        if block.title:
            return f"cat > {block.title} <<'END_OF_FILE'\n{self._filled_in(block)}END_OF_FILE"
        if block.language == "python":
            name = f"block_{block.line}.py"
            return f"cat > {name} <<'END_OF_FILE'\n{IMPORTS}{self._filled_in(block)}END_OF_FILE\npython {name}"
        raise UnmarkedBlockError(
            f"{block}: a code block of language `{block.language}` cannot be run. Say so above it, "
            f"`<!-- {NOT_RUN}REASON -->`, or `<!-- {OUTPUT} -->` if it is the output of the block before."
        )

    def _filled_in(self, block: Block) -> str:
        def value(match: re.Match[str]) -> str:
            if match[1] not in self.values:
                raise UnmarkedBlockError(f"{block}: the test has no value for {match[0]}")
            return self.values[match[1]]

        return _PLACEHOLDER.sub(value, block.text)


def _heading(block: Block) -> str:
    return f"### {block}"
