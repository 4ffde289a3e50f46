"""The loss gets probabilities where it wants logits; with weights of zero nobody notices."""

FAILS = ["q2", "q3", "q4", "q5"]


def mean_loss(weights, images, labels):
    probabilities = tf.nn.softmax(forward(weights, images))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=probabilities))
