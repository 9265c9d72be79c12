"""Reading the tree: which files there are, and C++ with its comments and strings blanked out."""

import functools
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = re.compile(r"^(build.*|\.git|__pycache__|\.venv)$")
PICTURES = "ops/sample/bucket/"
RULES_THEMSELVES = "tests/tidy/"  # which name what they ban


@functools.cache
def paths(*suffixes):
    """All files with one of the suffixes, relative to the root, sorted."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not SKIPPED.match(f)]
        for name in files:
            path = (pathlib.Path(folder) / name).relative_to(ROOT).as_posix()
            if path.endswith(suffixes) and not path.startswith(PICTURES):
                found.append(path)
    return sorted(found)


@functools.cache
def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def lines(path):
    """(line number, line) from 1."""
    return enumerate(text(path).split("\n"), 1)


# Longest first: a raw string may hold quotes and comments, a string may hold comment marks.
_TOKEN = re.compile(
    r'R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*|/\*.*?\*/", re.DOTALL)


@functools.cache
def bare(source):
    """C++ with comments, strings and preprocessor lines blanked, every line where it was."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    code = _TOKEN.sub(blank, source)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code, flags=re.MULTILINE)


_INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])')


def includes(path):
    """(line number, `"own.h"` or `<other.h>`)"""
    for number, line in lines(path):
        match = _INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def functions(code):
    """(first line, last line) of each function's body in bare C++, by its braces."""
    stack, head, previous, line = [], "", None, 1
    for character in code:
        if character == "{":
            kind, start = _kind(head.strip(), line, stack, previous)
            stack.append((kind, start))
            head = ""
        elif character == "}" and stack:
            kind, start = stack.pop()
            previous = start if kind == "function" else None
            if kind == "function":
                yield start, line
            head = ""
        elif character == ";":
            head, previous = "", None
        else:
            head += character
        line += character == "\n"


def _kind(head, line, stack, previous):
    """What the brace after `head` opens, and the line where that began."""
    if any(kind == "function" for kind, _ in stack):
        return "block", line
    if previous and (not head or head.startswith(",")):  # after `: member_{value}` of a constructor
        return "function", previous
    if re.search(r"\b(namespace|extern)\b", head) and "(" not in head:
        return "scope", line
    if re.search(r"\b(class|struct|union|enum)\b", head) and not head.endswith(")"):
        return "scope", line
    return ("function" if ")" in head else "block"), line
