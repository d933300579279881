"""No file past 800 lines; those past 500 are listed, because each should have a reason."""

import tree

LIMIT = 800
NOTICE = 500
ENDINGS = (*tree.CODE, ".py", ".cmake", ".sh", "CMakeLists.txt")


def main():
    findings = []
    names = tree.require(tree.files(endings=ENDINGS), "no sources")
    for name in names:
        count = len(tree.text(name).splitlines())
        if count > LIMIT:
            findings.append(f"{name}: {count} lines, the limit is {LIMIT}; split it by idea")
        elif count > NOTICE:
            print(f"note: {name} has {count} lines")
    tree.finish(findings, len(names))


if __name__ == "__main__":
    main()
