"""Keeps the tree as its rules say (rules.py): layers, banned phrases, sizes, links, no dead files.

Method: reads the sources as text; what only a compiler can tell (that a header stands alone) is
left to the object library in CMakeLists.txt. One rule alone: `tidy_test.py Tidy.test_layers`.
"""

import ast
import os
import re
import unittest

import rules
from source_tree import ROOT, RULES_THEMSELVES, bare, functions, includes, lines, paths, text


def floor_of(path):
    """The name in rules.FLOORS that a file belongs to, or None."""
    names = [name for name in rules.FLOORS if path.startswith(name + "/")]
    return max(names, key=len, default=None)


def slug(heading):
    """The anchor that a Markdown heading gets."""
    plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain))


class Tidy(unittest.TestCase):
    def setUp(self):
        self.found = []

    def tearDown(self):
        if self.found:
            self.fail(f"{len(self.found)} to tidy:\n" + "\n".join(self.found))

    def complain(self, path, line, message):
        self.found.append(f"{path}:{line}: {message}")

    def test_layers(self):
        for path in paths(*rules.CODE):
            here = floor_of(path)
            if here is None:
                continue
            for line, name in includes(path):
                there = floor_of(name.strip('"')) if name.startswith('"') else None
                if there is None or there == here:
                    continue
                below = rules.FLOORS[there] < rules.FLOORS[here]
                if not below or (here, there) in rules.STRANGERS:
                    self.complain(path, line, f"{here} must not include {there}")

    def test_libraries_stay_behind_their_adapters(self):
        for path in paths(*rules.CODE):
            for line, name in includes(path):
                for pattern, home, why in rules.FENCED_HEADERS:
                    if re.match(pattern, name) and not path.startswith((home, "tests/", "bench/")):
                        self.complain(path, line, f"{name} {why}")
                if path.endswith(".h") and rules.HEAVY_HEADERS.match(name):
                    self.complain(path, line, f"{name} is too heavy for a header")

    def test_banned_phrases(self):
        for path in paths(*rules.TEXT):
            if path.startswith(RULES_THEMSELVES):
                continue
            whole = text(path)
            code = bare(whole) if path.endswith(rules.CODE) else whole
            for ban in rules.BANS:
                if not path.endswith(ban.kinds) or path.startswith(tuple(ban.allowed)):
                    continue
                source = whole if ban.in_comments else code
                for match in ban.pattern.finditer(source):
                    statement = re.split(r"[;{}]", source[:match.start()])[-1]
                    if ban.unless and ban.unless.search(statement):
                        continue
                    line = source.count("\n", 0, match.start()) + 1
                    self.complain(path, line, f"`{match.group()}`: write {ban.instead}")

    def test_columns_and_whitespace(self):
        for path in paths(".h", ".cc", ".py", ".sh", ".cmake", "CMakeLists.txt"):
            for number, line in lines(path):
                if len(line) > rules.LINE_COLUMNS and "://" not in line:
                    self.complain(path, number, f"{len(line)} columns, over {rules.LINE_COLUMNS}")
                if line != line.rstrip() or "\t" in line:
                    self.complain(path, number, "a tab, or blanks at the end")
            if not text(path).endswith("\n") and text(path):
                self.complain(path, text(path).count("\n") + 1, "no line break at the end")

    def test_function_length(self):
        message = f"lines in one function; at most {rules.FUNCTION_LINES}"
        for path in paths(*rules.CODE):
            for start, end in functions(bare(text(path))):
                if end - start + 1 > rules.FUNCTION_LINES:
                    self.complain(path, start, f"{end - start + 1} {message}")
        for path in paths(".py"):
            for node in ast.walk(ast.parse(text(path))):
                if isinstance(node, ast.FunctionDef):
                    count = node.end_lineno - node.lineno + 1
                    if count > rules.FUNCTION_LINES:
                        self.complain(path, node.lineno, f"{count} {message}")

    def test_headers(self):
        for path in paths(".h"):
            if not text(path).startswith("#pragma once\n"):
                self.complain(path, 1, "`#pragma once` is the first line of a header")

    def test_a_source_includes_its_own_header_first(self):
        """So that the ordinary build proves the header self-contained."""
        for path in paths(".cc"):
            own = path[:-3] + ".h"
            first = next(includes(path), (1, ""))
            if (ROOT / own).exists() and first[1] != f'"{own}"':
                self.complain(path, first[0], f'`#include "{own}"` comes first')

    def test_every_source_is_built(self):
        for path in paths(".cc"):
            folder, name = os.path.split(path)
            while True:
                listing = ROOT / folder / "CMakeLists.txt"
                relative = os.path.relpath(path, folder or ".")
                named = rf"(?<![\w/]){re.escape(relative)}\b"
                if listing.exists() and re.search(named, listing.read_text()):
                    break
                if not folder:
                    self.complain(path, 1, f"no CMakeLists.txt lists {name}")
                    break
                folder = os.path.dirname(folder)

    def test_folders_have_a_readme(self):
        """Down to the second level, where there is more than one file to find one's way in."""
        folders = {}
        for path in paths(""):
            parts = path.split("/")[:-1][:2]
            if parts and not parts[0].startswith("."):
                for depth in range(1, len(parts) + 1):
                    folders.setdefault("/".join(parts[:depth]), set()).add(path)
        for folder, files in sorted(folders.items()):
            contents = {f for f in files if not f.endswith("CMakeLists.txt")}
            if len(contents) > 1 and not (ROOT / folder / "README.md").exists():
                self.complain(folder + "/", 1, "no README.md: what lives here, what to open first")

    def test_markdown_links(self):
        for path in paths(".md"):
            blank = lambda match: re.sub(r"[^\n]", " ", match.group())
            prose = re.sub(r"```.*?```", blank, text(path), flags=re.DOTALL)
            for number, line in enumerate(prose.split("\n"), 1):
                for target in re.findall(r"\]\(([^)\s]+)\)", line):
                    problem = self.broken_link(path, target)
                    if problem:
                        self.complain(path, number, f"{target}: {problem}")

    def broken_link(self, path, target):
        if re.match(r"[a-z]+:", target):
            return None
        file, _, anchor = target.partition("#")
        found = (ROOT / path).parent / file if file else ROOT / path
        if not found.exists():
            return "no such file"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.M)
            if anchor not in map(slug, headings):
                return "no such heading"
        return None

    def test_scripts_stop_at_errors(self):
        for path in paths(".sh", ".ci/run"):
            sourced = "Sourced, not run." in text(path)
            if not sourced and "\nset -euo pipefail\n" not in text(path):
                self.complain(path, 1, "no `set -euo pipefail`")
            if sourced == os.access(ROOT / path, os.X_OK):
                self.complain(path, 1, "sourced files are not executable, scripts are")


if __name__ == "__main__":
    unittest.main()
