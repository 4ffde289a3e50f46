"""The network that overfits is stopped in time, and that is all."""

FAILS = ["q4"]


def train(x, y, x_valid, y_valid):
    model = overfitting()
    model.fit(x, y, batch_size=32, epochs=60, validation_data=(x_valid, y_valid), verbose=0,
              callbacks=[keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)])
    return model
