"""The layout of the package: no import circles, no loose modules, and a sentence for each package."""

from __future__ import annotations

import ast
import re

from tests.unit.import_graph import PACKAGE, ROOT, Import, circles, imports, imports_of, modules

#: The modules that belong to no package. The first three are public.
LOOSE = {
    "checkpoints",
    "data_paths",
    "step_operator",
    "clock",
    "clouds",
    "exceptions",
    "fork_lock",
    "post_import",
    "retry_loop",
    "safe_text",
    "tags",
}

#: The public names, which are loaded when they are first used: `import zenml` imports this package for its hook.
LAZY = {
    f"{PACKAGE}.checkpoints",
    f"{PACKAGE}.data_paths",
    f"{PACKAGE}.exceptions",
    f"{PACKAGE}.plugin.config",
    f"{PACKAGE}.plugin.data_options",
    f"{PACKAGE}.plugin.flavor",
    f"{PACKAGE}.run_store.server_retries",
    f"{PACKAGE}.settings.models",
    f"{PACKAGE}.step_operator",
}

EXAMPLE = """
from typing import TYPE_CHECKING
import a
if TYPE_CHECKING:
    from b import Name
def function():
    from c import name
    import_module("d")
"""


def test_no_module_imports_itself_by_way_of_others_however_the_import_is_hidden() -> None:
    assert circles(tuple(each for each in imports() if not each.lazily)) == []


def test_the_names_that_are_loaded_lazily_are_the_public_ones() -> None:
    lazy = [each for each in imports() if each.lazily]

    assert {each.imported for each in lazy} == LAZY
    assert {each.importer for each in lazy} == {PACKAGE}


def test_imports_are_found_wherever_they_stand() -> None:
    found = imports_of("x", EXAMPLE, frozenset("abcd"))

    assert {each.imported for each in found} == set("abcd")


def test_a_circle_of_three_is_found_and_what_leads_into_it_is_not_part_of_it() -> None:
    edges = [Import(*edge, line=1) for edge in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))]

    assert circles(tuple(edges)) == [["a", "b", "c"]]


def test_every_package_says_in_a_sentence_what_it_is_for() -> None:
    packages = [name for name, path in modules().items() if path.name == "__init__.py"]

    for name in packages:
        docstring = ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8"))) or ""
        assert docstring.partition("\n")[0].endswith("."), f"{name}: {docstring!r}"


def test_no_module_stands_loose_at_the_top_but_those_of_no_package() -> None:
    top = {
        name.removeprefix(f"{PACKAGE}.")
        for name, path in modules().items()
        if name.count(".") == 1 and path.name != "__init__.py"
    }

    assert top == LOOSE


def test_the_map_of_the_code_names_every_folder_and_loose_module() -> None:
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.partition("src/zenml_azureml/\n")[2].partition("```")[0]
    folders = {path.parent.name for name, path in modules().items() if path.name == "__init__.py" and name != PACKAGE}

    assert folders == set(re.findall(r"(\w+)/ ", tree)), "a folder is missing in the map, or is not there"
    assert all(f"{name}.py" in tree for name in LOOSE)
