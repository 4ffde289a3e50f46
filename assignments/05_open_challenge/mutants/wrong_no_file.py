"""The notebook is handed in without the file."""

FAILS = ["q2", "q3"]


def handed_in(model):
    return None
