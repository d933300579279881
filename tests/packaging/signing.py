"""A key of its own for the repositories that a test makes."""
import os
import pathlib
import subprocess


class Key:
    """In a home of gpg's of its own below `folder`; `public` is the file that users install."""

    def __init__(self, folder):
        self.home = pathlib.Path(folder) / "gnupg"
        self.home.mkdir(mode=0o700)
        self.name = "rechost test <test@rechost.invalid>"
        self.environment = dict(os.environ, GNUPGHOME=str(self.home))
        self._gpg("--quick-generate-key", self.name, "rsa3072", "sign", "1d")
        self.public = pathlib.Path(folder) / "rechost-test.asc"
        self.public.write_text(self._gpg("--armor", "--export", self.name))
        listed = self._gpg("--with-colons", "--list-keys")
        self.fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def _gpg(self, *arguments):
        return subprocess.run(["gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback", *arguments], env=self.environment, check=True,
                              capture_output=True, text=True, timeout=120).stdout

    def sign_detached(self, file):
        self._gpg("--armor", "--detach-sign", "--local-user", self.fingerprint, str(file))

    def close(self):
        """The agent that gpg started for this home."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)
