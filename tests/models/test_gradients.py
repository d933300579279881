# label: peers
"""Every case of cases.py against PyTorch in a process of its own: two libtorch in one process would share symbols."""
import os
import subprocess
import sys
import tempfile
import unittest

import cases

HERE = os.path.dirname(os.path.abspath(__file__))


class AgainstPyTorch(unittest.TestCase):
    def test_outputs_and_gradients(self):
        peers = os.path.join(HERE, "..", "..", "packaging", "peers")
        python = subprocess.run([peers], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, name in enumerate(cases.CASES):
                paths.append(os.path.join(folder, f"{number}.json"))
                subprocess.run([sys.executable, os.path.join(HERE, "cases.py"), cases.plugin_folder(), name, paths[-1]], check=True)
            done = subprocess.run([python, os.path.join(HERE, "reference.py"), *paths], stdout=subprocess.PIPE, text=True)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.count("largest difference"), len(cases.CASES))


if __name__ == "__main__":
    unittest.main()
