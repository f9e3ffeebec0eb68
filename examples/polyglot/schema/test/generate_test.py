import json
import sys
import unittest

sys.path.insert(0, "src")

import generate

JAM = {"name": "jam", "unit": "jars", "least": 3}


def schema(*kinds):
    return json.dumps({"kinds": kinds})


class Generate(unittest.TestCase):
    def test_each_language_has_each_kind(self):
        kinds = generate.read(schema(JAM))
        for language in (generate.c, generate.go, generate.python):
            self.assertIn('"jam", "jars", 3', language(kinds))

    def test_python_can_be_run(self):
        found = {}
        exec(generate.python(generate.read(schema(JAM))), found)
        self.assertEqual(found["KINDS"], [("jam", "jars", 3)])

    def test_what_is_said_to_people_changes_nothing(self):
        self.assertEqual(generate.read(schema(JAM)), generate.read(schema(JAM | {"about": "sweet"})))

    def test_bad_schemas_are_refused(self):
        for bad in (JAM | {"name": 'a"b'}, JAM | {"unit": ""}, JAM | {"least": -1}):
            with self.assertRaises(ValueError):
                generate.read(schema(bad))
        with self.assertRaises(ValueError):
            generate.read(schema(JAM, JAM))


if __name__ == "__main__":
    unittest.main()
