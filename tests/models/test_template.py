"""The template project builds as a third party would build it, and its model trains through the ABI."""
import os
import re
import shutil
import subprocess
import unittest

import abi
import cases
from mini_host import Model, Plugin, feature, label, make_batch

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Template(unittest.TestCase):
    def build(self, name):
        # Kept between runs, so that only a changed SDK is compiled anew.
        project = os.path.join(os.environ["RECHOST_BUILD_DIR"], "template-test", name)
        os.makedirs(project, exist_ok=True)
        for file in os.listdir(os.path.join(ROOT, "sdk", "template")):
            with open(os.path.join(ROOT, "sdk", "template", file)) as source:
                text = source.read().replace("@NAME@", name)
            target = os.path.join(project, file.replace("@NAME@", name))
            if not os.path.exists(target) or open(target).read() != text:
                with open(target, "w") as sink:
                    sink.write(text)
        arguments = ["-G", "Ninja", f"-Drechost_DIR={ROOT}/sdk/cmake"]
        cache = os.path.join(os.environ["RECHOST_BUILD_DIR"], "CMakeCache.txt")
        if os.path.exists(cache):
            root = re.search(r"^RECHOST_LIBTORCH_ROOT:PATH=(.+)$", open(cache).read(), re.MULTILINE)
            arguments.append(f"-DRECHOST_LIBTORCH_ROOT={root.group(1)}")
        if shutil.which("ccache"):
            arguments.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        subprocess.run(["cmake", "-S", project, "-B", f"{project}/build", *arguments], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", f"{project}/build"], check=True, stdout=subprocess.DEVNULL)
        return f"{project}/build/{name}.so"

    def test_builds_and_learns(self):
        plugin = Plugin(self.build("mine"))
        labels = [label("click"), label("topic", abi.LABEL_MULTICLASS, 3)]
        features = cases.DENSE + [feature("a"), feature("b", pooling=abi.POOLING_MEAN)]
        model = Model(plugin, "mine", dict(embedding_dim=4, hidden=8), features, labels).bind()
        batch = make_batch(model, 16)

        def squared_error():
            outputs = model.forward(batch)
            return sum((v - 1) ** 2 for output in outputs.values() for v in output.values()), outputs

        first, outputs = squared_error()
        for _ in range(60):
            gradients = {name: cases.Array(o.shape, [2 * (v - 1) for v in o.values()]) for name, o in outputs.items()}
            model.backward(gradients)
            for parameter in model.parameters:
                data, gradient = parameter["value"].data, parameter["gradient"].data
                for index in range(parameter["value"].size):
                    data[index] -= 0.002 * gradient[index]
            last, outputs = squared_error()
        self.assertLess(last, 0.1 * first)
        model.close()


if __name__ == "__main__":
    unittest.main()
