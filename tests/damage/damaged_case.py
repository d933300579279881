"""One damaged input and what must come of it."""
import dataclasses
import pathlib
import typing

# What `rechost data verify` may say of it:
REFUSED = "refused"  # one error that names the file; exit code 1 or 78
BAD_ROWS = "bad rows"  # the files are read to their end, rows of them are refused by name
SOUND = "sound"  # nothing is wrong, although it looks odd
ANY = "any"  # sound or not, as luck has it (a flipped bit); but no crash, no hang, no flood of memory


@dataclasses.dataclass
class Case:
    name: str
    loader: str
    outcome: str
    write: typing.Callable[[pathlib.Path], None]  # makes the files in a folder of its own
    settings: tuple = ()  # <key>=<value> of [data]; "/<key>=<file>" names a file in the folder, "features.…" is a section of its own
    # What the error must name. The messages end where the user has to look.
    names: tuple = ()
    bad_rows: int = None  # BAD_ROWS: how many
    path: str = "."  # what data.path is, in the folder

    def arguments(self, folder):
        given = ["--plugin", self.loader, "--set", f"data.path={folder / self.path}"]
        for setting in self.settings:
            if setting.startswith("/"):
                key, file = setting[1:].split("=", 1)
                setting = f"{key}={folder / file}"
            given += ["--set", setting if setting.startswith("features.") else f"data.{setting}"]
        return given


def file_writer(name, content):
    """A function that writes one file. Large contents are functions too, so that they are made when they are needed."""
    return lambda folder: (folder / name).write_bytes(content() if callable(content) else content)
