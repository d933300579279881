"""How a peer of a bench or test talks: each line of JSON on standard input is answered with one on standard output, until the end."""
import json
import os
import sys


def serve(answer, prints=None):
    """`answer(request)` gives the reply; an exception is one, too. `prints`: the descriptor that gets what libraries print, which must not get between
    the answers; None: nobody sees it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY) if prints is None else prints, 1)
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": repr(error)[:1000]}
        print(json.dumps(reply), file=answers, flush=True)
