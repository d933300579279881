"""The ABI's headers: they compile alone as C99 and as C++20, and every field lies where tests/abi/layout.c says."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("RECHOST_SOURCE_DIR", Path(__file__).resolve().parents[2]))
INCLUDE = ROOT / "sdk" / "include"
LAYOUT = ROOT / "tests" / "abi" / "layout.c"
STRICT = ["-Wall", "-Wextra", "-Wpadded", "-pedantic", "-Werror", "-I", str(INCLUDE)]


def headers():
    """The C headers; drafts may still change and C++ is not part of the ABI."""
    found = [path for path in (INCLUDE / "rechost").rglob("*.h") if not {"cxx", "draft"} & set(path.parts)]
    return sorted(path.relative_to(INCLUDE) for path in found)


def compilers():
    """Each C and C++ compiler of this machine with the language to compile."""
    for name, arguments in [("gcc", ["-std=c99"]), ("g++", ["-x", "c++", "-std=c++20"]),
                            ("clang", ["-std=c99"]), ("clang++", ["-x", "c++", "-std=c++20"])]:
        if shutil.which(name):
            yield [name, *arguments]


def declared_fields(text):
    """(struct, field) for each field of each struct; enough of C for headers that hold one declaration per line and no unions."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for struct in re.finditer(r"struct\s+(\w+)\s*\{(.*?)\n\}", text, flags=re.DOTALL):
        for declaration in filter(None, (part.strip() for part in struct[2].split(";"))):
            field = re.search(r"\(\*(\w+)\)", declaration) or re.search(r"(\w+)$", declaration)
            yield struct[1], field[1]


def numbers(text):
    """Names of the numeric macros; the minor grows, so it has no fixed value."""
    return [name for name in re.findall(r"#define (RH_[A-Z0-9_]+) +\(?[0-9]", text) if name != "RH_ABI_MINOR"]


class Layout(unittest.TestCase):
    def compile(self, compiler, source, *more):
        result = subprocess.run([*compiler, *STRICT, *more, "-c", str(source), "-o", os.devnull], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, f"{' '.join(compiler)} {source}\n{result.stderr}")

    def test_there_are_compilers_for_both_languages(self):
        self.assertGreaterEqual(len(list(compilers())), 2)

    def test_fields_lie_where_the_golden_file_says(self):
        for compiler in compilers():
            self.compile(compiler, LAYOUT)

    def test_each_header_compiles_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            for header in headers():
                source = Path(folder) / "alone.c"
                # ISO C wants at least one declaration in a file.
                source.write_text(f'#include "{header}"\nextern int declared;\n')
                for compiler in compilers():
                    self.compile(compiler, source)

    def test_no_field_is_without_a_line(self):
        golden = LAYOUT.read_text()
        listed = set(re.findall(r"LAYOUT_FIELD\((?:struct )?(\w+), (\w+),", golden))
        values = set(re.findall(r"LAYOUT_VALUE\((\w+),", golden))
        for header in headers():
            text = (INCLUDE / header).read_text()
            self.assertIn(f'#include "{header}"', golden)
            for field in declared_fields(text):
                self.assertIn(field, listed, f"{header}: add this field to tests/abi/layout.c")
            for name in numbers(text):
                self.assertIn(name, values, f"{header}: add this number to tests/abi/layout.c")

    def test_a_plugin_in_plain_c_compiles_as_c99(self):
        # Structs of the plugin's own may be padded.
        for compiler in compilers():
            if "-std=c99" in compiler:
                self.compile(compiler, ROOT / "tests" / "abi" / "plugins" / "plain_c_plugin.c", "-Wno-padded", "-fPIC")


if __name__ == "__main__":
    unittest.main()
