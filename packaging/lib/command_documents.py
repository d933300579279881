"""Write rechost.1.gz and the completions for bash and zsh from what the program says of itself.

Usage: command_documents.py PROGRAM FOLDER VERSION
"""

import gzip
import os
import re
import subprocess
import sys

OPTION = re.compile(r"^  (?:(-\w) \[ (--[\w-]+) \]|(--[\w-]+))( arg)?( \(=.*?\))?(?:\s+(\S.*))?$")
# In a usage line: an argument in capitals is a name or a path, one in small letters is one of a few words.
CHOICES = re.compile(r"(--[\w-]+) ([a-z0-9]+(?:\|[a-z0-9]+)+)\b")


class Option:
    def __init__(self, short, name, takes_value, default, text):
        self.short, self.name, self.takes_value, self.default, self.text = short, name, takes_value, default, text
        self.choices = []


class Command:
    """One verb, or verb and noun, with its help taken apart."""

    def __init__(self, words, summary):
        self.words, self.summary = words, summary
        self.usage, self.examples, self.options = "", [], []


def help_of(program, *words):
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not done.stdout:
        sys.exit(f"{program} {' '.join(words)} --help ended with status {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


def section(lines, title):
    """The lines between "Title:" and the next empty line."""
    if title not in lines:
        sys.exit(f"the help has no part '{title}': {lines[:3]}")
    begin = lines.index(title) + 1
    end = next((number for number in range(begin, len(lines)) if not lines[number]), len(lines))
    return lines[begin:end]


def read_options(lines):
    options = []
    for line in lines:
        match = OPTION.match(line)
        if match:
            short, with_short, alone, value, default, text = match.groups()
            options.append(Option(short, with_short or alone, bool(value), (default or "")[3:-1], text or ""))
        elif options and line.startswith("      "):
            options[-1].text = f"{options[-1].text.rstrip()} {line.strip()}".strip()
        else:
            sys.exit(f"not a line of the options: {line!r}")
    return options


def read_command(program, words, summary):
    command = Command(words, summary)
    lines = help_of(program, *words)
    command.examples = [line.strip() for line in section(lines, "Examples:")]
    command.usage = next(line for line in lines if line.startswith("Usage: ")).removeprefix("Usage: ").strip()
    command.options = read_options(section(lines, "Options:"))
    choices = dict(CHOICES.findall(command.usage))
    for option in command.options:
        if option.name == "--output" and option.text == "text or json":
            choices[option.name] = "text|json"
        option.choices = choices.get(option.name, "").split("|") if choices.get(option.name) else []
    return command


def read_program(program):
    lines = help_of(program)
    commands = []
    for line in section(lines, "Commands:"):
        name, summary = re.match(r"^  (\S+(?: \S+)?)\s{2,}(.*)$", line).groups()
        commands.append(read_command(program, name.split(), summary))
    return lines[0], commands, lines[-1]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + text if text.startswith(".") else text


def manual_page(first_line, commands, last_line, version):
    exit_codes = re.search(r"Exit codes: (.*)\.$", last_line)
    if not exit_codes:
        sys.exit(f"the last line of the help lists no exit codes: {last_line!r}")
    out = [f'.TH RECHOST 1 "" "rechost {version}" "User Commands"', ".SH NAME",
           "rechost \\- " + roff(first_line.removeprefix("rechost ").rstrip(".")), ".SH SYNOPSIS", ".B rechost", ".I command",
           ".RI [ options ]", ".br", ".B rechost", ".I command", ".B \\-\\-help", ".SH DESCRIPTION",
           roff(first_line), "Each model and each reader of a data format is a plugin;", ".B rechost plugins list", "shows them.",
           "Standard output is data, standard error is talk.", ".SH COMMANDS"]
    for command in commands:
        out += [f".SS rechost {' '.join(command.words)}", roff(command.summary), ".PP", "Usage:", f".B {roff(command.usage)}"]
        for option in command.options:
            names = f"\\fB{roff(option.name)}\\fR" if not option.short else f"\\fB{roff(option.short)}\\fR, \\fB{roff(option.name)}\\fR"
            value = " \\fIvalue\\fR" if option.takes_value else ""
            default = f" (default: {roff(option.default)})" if option.default else ""
            out += [".TP", names + value, roff(option.text) + default]
        out += [".PP", "Examples:", ".PP", ".nf", ".RS"] + [roff(line) for line in command.examples] + [".RE", ".fi"]
    out.append(".SH EXIT STATUS")
    for entry in exit_codes.group(1).split(", "):
        number, meaning = entry.split(" ", 1)
        out += [".TP", f".B {number}", roff(meaning)]
    out += [".SH ENVIRONMENT",
            ".TP", ".B RECHOST_<SECTION>__<KEY>", "a value of the configuration; the command line wins over it",
            ".TP", ".B RECHOST_PLUGIN_PATH", "absolute folders, separated by colons, that are searched for plugins before all others",
            ".TP", ".B RECHOST_REGISTRY", "folder of the registered models; without it: ~/.local/share/rechost/registry",
            ".SH FILES",
            ".TP", ".I ~/.local/lib/rechost/plugins", "plugins of your own",
            ".TP", ".I share/rechost/configs", "example configurations, one for each model, under the prefix of the installation"]
    return "\n".join(out) + "\n"


BASH = r"""# bash completion for rechost. Written by packaging/lib/command_documents.py from the program's help.

_rechost_plugins() {
    "$1" plugins list --output json 2>/dev/null | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4
}

_rechost_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_rechost() {
    local program=$1 current=$2 previous=$3 verb=${COMP_WORDS[1]} noun="" words="" options="" choices=""
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "@VERBS@ --help --version" -- "$current")
        return
    fi
    case $verb in
@NOUNS@
    esac
    if [[ -n $words ]]; then
        if ((COMP_CWORD == 2)); then
            mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$current")
            return
        fi
        noun=" ${COMP_WORDS[2]}"
    fi
    case $verb$noun in
@OPTIONS@
    esac
    case $previous in
    --plugin | -p)
        mapfile -t COMPREPLY < <(compgen -W "$(_rechost_plugins "$program")" -- "$current")
        if ((${#COMPREPLY[@]} == 0)); then _rechost_files "$current"; fi
        return
        ;;
    --*)
        case "$verb$noun $previous" in
@CHOICES@
        esac
        if [[ -n $choices ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
            return
        fi
        ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    _rechost_files "$current"
    if [[ "$verb$noun" == "plugins inspect" || "$verb$noun" == "plugins check" ]]; then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$(_rechost_plugins "$program")" -- "$current")
    fi
}

complete -F _rechost rechost
"""


def nouns_by_verb(commands):
    verbs = {}
    for command in commands:
        verbs.setdefault(command.words[0], [])
        if len(command.words) > 1:
            verbs[command.words[0]].append(command)
    return verbs


def bash_completion(commands):
    verbs = nouns_by_verb(commands)
    nouns = [f'    {verb}) words="{" ".join(command.words[1] for command in of_verb)}" ;;' for verb, of_verb in verbs.items() if of_verb]
    options, choices = [], []
    for command in commands:
        name = " ".join(command.words)
        options.append(f'    "{name}") options="{" ".join(option.name for option in command.options)}" ;;')
        choices += [f'        "{name} {option.name}") choices="{" ".join(option.choices)}" ;;' for option in command.options if option.choices]
    return (BASH.replace("@VERBS@", " ".join(verbs)).replace("@NOUNS@", "\n".join(nouns))
            .replace("@OPTIONS@", "\n".join(options)).replace("@CHOICES@", "\n".join(choices)))


ZSH = r"""#compdef rechost
# zsh completion for rechost. Written by packaging/lib/command_documents.py from the program's help.

_rechost_plugins() {
    local -a ids
    ids=(${(f)"$(rechost plugins list --output json 2>/dev/null | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4)"})
    _alternative 'plugins:plugin:compadd -a ids' 'files:file:_files'
}

_rechost() {
    local -a verbs nouns
    if (( CURRENT == 2 )); then
        verbs=(
@VERBS@
        )
        _describe command verbs
        return
    fi
    case $words[2] in
@NOUNS@
    esac
    if (( $#nouns )); then
        if (( CURRENT == 3 )); then
            _describe command nouns
            return
        fi
        words[2]="$words[2] $words[3]"
        words[3]=()
        (( CURRENT-- ))
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
@OPTIONS@
    esac
}

_rechost "$@"
"""


def zsh_text(text):
    """Inside '...:description' of zsh: no quote, bracket or colon may be left bare."""
    return text.replace("\\", "\\\\").replace("'", "'\\''").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")


def zsh_option(option):
    if not option.takes_value:
        action = ""
    elif option.name == "--plugin":
        action = ":plugin:_rechost_plugins"
    elif option.choices:
        action = f":value:({' '.join(option.choices)})"
    else:
        action = ":value:_files"
    repeated = "*" if "repeated" in option.text or option.name == "--set" else ""
    names = [option.name] + ([option.short] if option.short else [])
    return " ".join(f"'{repeated}{name}[{zsh_text(option.text)}]{action}'" for name in names)


def zsh_completion(commands):
    verbs = nouns_by_verb(commands)
    summaries = {command.words[0]: command.summary for command in commands if len(command.words) == 1}
    lines = [f"            '{verb}:{zsh_text(summaries.get(verb) or ', '.join(c.words[1] for c in of_verb))}'" for verb, of_verb in verbs.items()]
    nouns = []
    for verb, of_verb in verbs.items():
        if of_verb:
            nouns.append(f"    {verb}) nouns=({' '.join(repr(c.words[1] + ':' + c.summary) for c in of_verb)}) ;;")
    options = []
    for command in commands:
        rest = "_rechost_plugins" if command.words[0] == "plugins" and command.words[1] in ("inspect", "check") else "_files"
        specs = " \\\n            ".join([zsh_option(option) for option in command.options] + [f"'*:argument:{rest}'"])
        options.append(f"    '{' '.join(command.words)}')\n        _arguments \\\n            {specs}\n        ;;")
    return ZSH.replace("@VERBS@", "\n".join(lines)).replace("@NOUNS@", "\n".join(nouns)).replace("@OPTIONS@", "\n".join(options))


def main(program, folder, version):
    first_line, commands, last_line = read_program(program)
    os.makedirs(folder, exist_ok=True)
    page = manual_page(first_line, commands, last_line, version).encode()
    with open(os.path.join(folder, "rechost.1.gz"), "wb") as file:
        # No name and no time inside: the same page is the same file.
        file.write(gzip.compress(page, 9, mtime=0))
    for name, text in (("rechost.bash", bash_completion(commands)), ("_rechost", zsh_completion(commands))):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
