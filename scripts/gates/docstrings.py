"""Gate: public docstrings hold to numpydoc and to the house style.

Usage: ``docstrings.py [ROOT]``. Exit 0 when every public module, class, function and method under ROOT/src/calcmap
passes, 1 when one does not, 2 when there was nothing to look at.

What is asked for, on top of a docstring being there at all (numpydoc's own codes in brackets):

* the first paragraph ends with a full stop or a question mark (SS03) and no blank lines double up (GL03);
* a ``Parameters`` section, once begun, names every parameter, no others, in order (PR01, PR02, PR03);
* a function that its room hands out (named in an ``__all__``) has that section when it takes an array or more than
  ``MAX_UNDOCUMENTED_PARAMETERS`` arguments: what a short sentence cannot carry (shape, axes, dtype, unit) has to stand
  somewhere (PR01);
* a function with the section also says what comes back (RT01), unless it returns nothing.

Fields of a dataclass count as its parameters, if the class documents them in a section; a field may have a docstring of
its own instead.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from numpydoc.hooks.validate_docstrings import AstValidator
from numpydoc.validate import validate

CHECKS_ALWAYS = frozenset({"GL03", "GL08", "SS03", "PR02", "PR03"})
CHECKS_IN_FULL = frozenset({"PR01", "RT01"})
MAX_UNDOCUMENTED_PARAMETERS = 3
"""More parameters than this need a Parameters section (our choice: what one sentence can still carry)."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


class DataclassAwareValidator(AstValidator):
    """numpydoc's validator, but the parameters of a dataclass are its fields."""

    @property
    def signature_parameters(self) -> tuple[str, ...]:
        """Names that a Parameters section has to list."""
        if isinstance(self.node, ast.ClassDef) and _is_dataclass(self.node):
            return tuple(_fields(self.node))
        return tuple(super().signature_parameters)


@dataclass(frozen=True)
class Node:
    """One thing that has a docstring, with the nodes around it."""

    name: str
    node: Documented
    ancestry: list[ast.AST]

    def summary(self) -> str:
        """Return the first paragraph of the docstring."""
        return (ast.get_docstring(self.node) or "").partition("\n\n")[0]


def public_nodes(tree: ast.Module, module: str) -> Iterator[Node]:
    """Yield the module and its public classes, functions and methods; what lies inside a function is private."""
    yield Node(module, tree, [])
    yield from _public_children(tree, module, [tree])


def handed_out(source: Path) -> frozenset[str]:
    """Return every name in an ``__all__`` of the packages under a folder."""
    names: set[str] = set()
    for path in source.rglob("__init__.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
                names |= set(ast.literal_eval(statement.value))
    return frozenset(names)


def complaints_about(item: Node, path: Path, *, exported: frozenset[str]) -> list[str]:
    """Return the complaints about one docstring, each with its place."""
    report = validate(item.name, DataclassAwareValidator, ast_node=item.node, filename=path, ancestry=item.ancestry)
    wanted = CHECKS_ALWAYS | (CHECKS_IN_FULL if _needs_sections(item, exported) else frozenset())
    if isinstance(item.node, ast.ClassDef) and not _has_section(item.node, "Parameters"):
        wanted -= {"PR01", "PR02", "PR03"}
    if item.summary().endswith("?"):
        wanted -= {"SS03"}
    line = 1 if isinstance(item.node, ast.Module) else item.node.lineno
    return [f"{path}:{line}: {item.name}: {code} {text}" for code, text in report["errors"] if code in wanted]


def main(arguments: list[str] | None = None) -> int:
    """Print every complaint and how much was looked at; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", default=".", type=Path)
    source = parser.parse_args(arguments).root / "src" / "calcmap"
    exported = handed_out(source)
    n_nodes, complaints = 0, []
    for path in sorted(source.rglob("*.py")):
        for item in public_nodes(ast.parse(path.read_text(encoding="utf-8")), path.stem):
            n_nodes += 1
            complaints += complaints_about(item, path, exported=exported)
    print("\n".join([*complaints, f"docstrings: {n_nodes} looked at, {len(complaints)} complaints"]))
    if n_nodes == 0:
        return 2
    return 1 if complaints else 0


def _public_children(parent: ast.AST, prefix: str, ancestry: list[ast.AST]) -> Iterator[Node]:
    for child in ast.iter_child_nodes(parent):
        if not isinstance(child, ast.ClassDef | Function) or child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        yield Node(name, child, ancestry)
        if isinstance(child, ast.ClassDef):
            yield from _public_children(child, name, [*ancestry, child])


def _needs_sections(item: Node, exported: frozenset[str]) -> bool:
    if isinstance(item.node, ast.Module | ast.ClassDef) or _has_section(item.node, "Parameters"):
        return _has_section(item.node, "Parameters")
    arguments = item.node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    has_array = any(a.annotation is not None and "Array" in ast.unparse(a.annotation) for a in every)
    return item.node.name in exported and (has_array or len(every) > MAX_UNDOCUMENTED_PARAMETERS)


def _has_section(node: Documented, title: str) -> bool:
    lines = [line.strip() for line in (ast.get_docstring(node) or "").splitlines()]
    return any(line == title and set(rule) == {"-"} for line, rule in pairwise(lines))


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _fields(node: ast.ClassDef) -> list[str]:
    """Return the fields that a Parameters section has to explain: those without a docstring of their own."""
    names = []
    for item, following in pairwise([*node.body, ast.Pass()]):
        is_field = isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
        if is_field and not _is_text(following):
            names.append(ast.unparse(item.target))
    return names


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


if __name__ == "__main__":
    sys.exit(main())
