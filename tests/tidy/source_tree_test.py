"""Tests the reading of C++ that tidy's rules stand on, on small pieces of source."""

import unittest

from source_tree import bare, functions


DIRECTIVE = r"""#define X "{" \
  {
int a; // new
auto s = "new \" x"; /* {
*/ char c = '{';"""

RAW_STRING = """f(R"x(}")x", 1'000, 2'000);"""

NESTED = """namespace n {
class C : D {
 int f() const {
  if (x) {
  }
 }
};
}
void g()
{
}
"""

CONSTRUCTOR = """C::C(int a) : a_{a},
 b_{2} {
 Do();
}
"""

TABLE = """const int kTable[] = {
 {1},
};
int x{3};
"""


class SourceTree(unittest.TestCase):
    def test_comments_strings_and_directives_are_blanked_in_place(self):
        code = bare(DIRECTIVE)
        self.assertEqual(code.count("\n"), DIRECTIVE.count("\n"))
        self.assertEqual(code.split(), "int a; auto s = ; char c = ;".split())

    def test_raw_strings_are_blanked_and_digit_separators_are_not_quotes(self):
        self.assertEqual(bare(RAW_STRING).split(), ["f(", ",", "1'000,", "2'000);"])

    def test_functions_are_found_inside_classes_and_namespaces(self):
        self.assertEqual(list(functions(bare(NESTED))), [(3, 6), (10, 11)])

    def test_member_initialisers_belong_to_their_constructor(self):
        self.assertIn((1, 4), functions(bare(CONSTRUCTOR)))

    def test_tables_are_no_functions(self):
        self.assertEqual(list(functions(bare(TABLE))), [])


if __name__ == "__main__":
    unittest.main()
