"""Unpack the part of wheels that plugins compile, link and load.

Usage: unpack_wheels.py libtorch|arrow TARGET WHEEL...
"""

import os
import re
import shutil
import sys
import zipfile

# What is wanted of the wheels, and one file that must be there for each part: a wheel with another layout is an error here, not a puzzle
# at link time.
PARTS = {
    # Headers for CUDA kernels and for other platforms stay out: the plugins' dense part compiles for the CPU only here.
    "libtorch": (
        r"torch/include/.*\.(h|hpp|inl)$"
        r"|torch/lib/(libc10\.so|libtorch_cpu\.so|libgomp\.so\.1)$"
        r"|nvidia/cu13/lib/(libcudart\.so\.13|libcupti\.so\.13)$"
        r"|[^/]+\.dist-info/.*(LICENSE|NOTICE|License\.txt)$",
        [
            "torch/include/torch/csrc/api/include/torch/nn.h",
            "torch/lib/libc10.so",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libgomp.so.1",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcupti.so.13",
        ],
    ),
    "arrow": (
        r"pyarrow/include/(arrow|parquet)/.*\.h$"
        r"|pyarrow/(libarrow|libparquet)\.so\.\d+$"
        r"|[^/]+\.dist-info/.*(LICENSE|NOTICE)\.txt$",
        [
            "pyarrow/include/arrow/api.h",
            "pyarrow/include/parquet/column_reader.h",
            "pyarrow/libarrow.so.2600",
            "pyarrow/libparquet.so.2600",
        ],
    ),
}


def main(part, target, wheels):
    wanted, required = PARTS[part]
    wanted = re.compile(wanted)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not wanted.match(name):
                    continue
                path = os.path.join(target, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    missing = [name for name in required if not os.path.exists(os.path.join(target, name))]
    if missing:
        sys.exit("these files are not in the wheels: " + ", ".join(missing))


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
