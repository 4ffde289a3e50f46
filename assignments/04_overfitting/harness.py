"""What takes more than one call: shifts with several generators, and a network that is trained."""

import numpy as np


def shifts(program, images, reach, n_calls):
    """Shift images several times, each time with a generator of its own."""
    augment, before = program["augment"], images.copy()
    made = [np.asarray(augment(images, np.random.default_rng(seed), reach))
            for seed in range(n_calls)]
    again = np.asarray(augment(before.copy(), np.random.default_rng(0), reach))
    return {"made": np.stack(made), "again": again, "after": images, "before": before,
            "dtype": str(made[0].dtype)}


def shifts_of_given(program, reach, n_calls):
    """Shift the images that came with the assignment."""
    return shifts(program, np.array(program["x_train"]), reach, n_calls)


def cure(program, x, y, x_valid, y_valid, x_test):
    """Train a network, and ask it about images that it has seen and images that it has not."""
    model = program["train"](x, y, x_valid, y_valid)
    if not hasattr(model, "predict"):
        raise TypeError(f"train returned a {type(model).__name__}, not the trained Keras model")
    steps = getattr(getattr(model, "optimizer", None), "iterations", 0)
    train, test, again = (np.asarray(model.predict(images, verbose=0), "float32")
                          for images in (x, x_test, x_test))
    return {"train": train, "test": test, "again": again, "parameters": int(model.count_params()),
            "steps": int(steps)}


def cure_given(program):
    """Train with the images that came with the assignment; those for validation are the test."""
    x, y, x_valid, y_valid = (program[name] for name in
                              ("x_train", "y_train", "x_valid", "y_valid"))
    return {**cure(program, x, y, x_valid, y_valid, x_valid), "y": np.asarray(y),
            "y_test": np.asarray(y_valid)}
