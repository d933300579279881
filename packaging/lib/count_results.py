"""Print "N passed, N failed" from ctest's JUnit file; exit 1 if a test failed, was not run, or none ran.

Usage: count_results.py RESULTS.xml CTEST_EXIT_STATUS

A test that ctest could not start, or that asked to be skipped, counts as failed: a test which cannot run where it
promised to run is no success.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def main(path, ctest_status):
    passed = failed = 0
    if os.path.exists(path):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            if case.get("status") == "run":
                passed += 1
            else:
                failed += 1
                print(f"failed: {case.get('name')} ({case.get('status')})", file=sys.stderr)
    if passed + failed == 0:
        print("no test ran", file=sys.stderr)
    if ctest_status != 0 and failed == 0:
        print(f"ctest, or a run after it, ended with status {ctest_status}", file=sys.stderr)
        failed = 1
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if failed == 0 and passed > 0 and ctest_status == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
