# The manual page and the completions that the build writes from the program's help: every command is in them, and bash completes with them.
import gzip
import re
import subprocess

from program import BIN, BUILD, expect, main, rechost

DOCUMENTS = BUILD / "share" / "rechost" / "documents"


def commands():
    return re.findall(r"^  (\S+(?: \S+)?)\s{2,}\S", rechost("--help").out.split("Commands:")[1], re.M)


def complete(*words):
    """What bash offers for the last of the words."""
    script = f"""
source {DOCUMENTS}/rechost.bash
COMP_WORDS=({' '.join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_rechost {BIN} '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, done.stderr)
    return done.stdout.split()


def the_manual_has_every_command_and_option():
    page = gzip.decompress((DOCUMENTS / "rechost.1.gz").read_bytes()).decode()
    for command in commands():
        expect(f".SS rechost {command}\n" in page, f"no {command} in the manual page")
        for option in re.findall(r"^  (?:-\w \[ )?--([\w-]+)", rechost(*command.split(), "--help").out, re.M):
            expect("\\-\\-" + option.replace("-", "\\-") in page, f"no --{option} of {command} in the manual page")
    for code in (75, 76, 78):
        expect(f".B {code}\n" in page, f"no exit code {code} in the manual page")


def bash_completes_commands_options_and_words():
    expect(set(command.split()[0] for command in commands()) <= set(complete("rechost", "")), complete("rechost", ""))
    expect(complete("rechost", "mod") == ["models"], complete("rechost", "mod"))
    expect("register" in complete("rechost", "models", ""), complete("rechost", "models", ""))
    expect(complete("rechost", "run", "--plu") == ["--plugin"], complete("rechost", "run", "--plu"))
    expect(complete("rechost", "run", "--output", "j") == ["json"], complete("rechost", "run", "--output", "j"))
    expect(complete("rechost", "export", "x", "--what", "") == ["items", "users"], complete("rechost", "export", "x", "--what", ""))


def bash_completes_what_is_installed():
    expect("dlrm" in complete("rechost", "run", "--plugin", ""), complete("rechost", "run", "--plugin", ""))
    expect(complete("rechost", "plugins", "inspect", "two_") == ["two_tower"], complete("rechost", "plugins", "inspect", "two_"))


main([the_manual_has_every_command_and_option, bash_completes_commands_options_and_words, bash_completes_what_is_installed])
