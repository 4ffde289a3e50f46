"""One good network for every question: it keeps within some budgets, and spends half of few."""

FAILS = ["q6"]


def design(shape, budget, field):
    return 3 * [conv(16, (3, 3)), pool((2, 2))] + [flatten(), dense(10)]
