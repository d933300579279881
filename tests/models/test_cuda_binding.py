"""A torch plugin that is bound to a GPU where none is to be seen: the plugin itself opens LibTorch's CUDA half then, and says what is missing.
Training on a GPU is tested with label gpu."""
import os
import unittest

import abi
import cases
from mini_host import PluginError

FOLDER = cases.plugin_folder()
HAS_CUDA_PART = os.path.exists(os.path.join(FOLDER, "../libtorch/torch/lib/libtorch_cuda.so"))


class WithoutGpu(unittest.TestCase):
    def test_says_what_is_missing_and_still_computes_on_the_cpu(self):
        chosen = next(iter(cases.CASES.values()))
        model = cases.declared_model(FOLDER, chosen)
        with self.assertRaises(PluginError) as caught:
            model.bind(device=abi.Device(abi.DEVICE_CUDA, 0))
        # With its CUDA half LibTorch has been loaded by now, and looks for a driver or a GPU; else there was nothing to load.
        expected = "NVIDIA driver|CUDA GPUs" if HAS_CUDA_PART else "libtorch_cuda.so.*CUDA part"
        self.assertRegex(str(caught.exception), expected)
        self.assertNotIn("frame #", str(caught.exception))

        again = cases.open_model(FOLDER, chosen)
        again.forward(cases.batch_of(again, chosen))


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when CUDA is first asked: the same everywhere
    unittest.main()
