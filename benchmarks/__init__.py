"""Side-by-side measurements against named peers, each one command.

``python -m benchmarks NAME`` runs one of the five that the book's page shows: data, training,
convolution, accuracy, book. The older three are scripts: ``grading.py``, ``lighthouse.py`` and
``load_time.py``.
"""
