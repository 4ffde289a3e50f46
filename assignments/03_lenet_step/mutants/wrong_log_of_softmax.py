"""The logarithm is taken of probabilities, which may be 0: the loss is infinite then."""

FAILS = ["q2"]


def mean_loss(weights, images, labels):
    logits = forward(weights, images)
    probabilities = tf.nn.softmax(logits)
    return -tf.reduce_mean(tf.math.log(tf.gather(probabilities, labels, axis=1, batch_dims=1)))
