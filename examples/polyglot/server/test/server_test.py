import sys
import unittest

sys.path.insert(0, "build")

from kinds import KINDS
from server import Pantry, Refused


class PantryWithStandIns(unittest.TestCase):
    """cat for count: what goes in comes out."""

    def test_lines_add_up(self):
        pantry = Pantry("cat", "cat")
        pantry.add("jam 1")
        pantry.add("jam 2\n")
        self.assertEqual(pantry.get("/stock"), "jam 1\njam 2\n")
        self.assertEqual(pantry.get("/list"), "jam 1\njam 2\n")

    def test_what_is_refused_leaves_no_trace(self):
        pantry = Pantry("false", "cat")
        with self.assertRaises(Refused):
            pantry.add("nonsense")
        self.assertEqual(pantry.ledger, "")

    def test_pages(self):
        pantry = Pantry("cat", "cat")
        self.assertEqual(len(pantry.get("/kinds").splitlines()), len(KINDS))
        self.assertIsNone(pantry.get("/cellar"))


if __name__ == "__main__":
    unittest.main()
