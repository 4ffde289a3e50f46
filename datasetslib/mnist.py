"""MNIST: 70,000 handwritten digits, 28 x 28 pixels, one channel."""

from datasetslib import imutil
from datasetslib.dataset import ImageDataset


class mnist(ImageDataset):
    """The MNIST digits, split 55,000 / 5,000 / 10,000.

    The validation split is the first 5,000 images of the training files, as in the tutorials
    of TensorFlow 1; the 55,000 others are for training. Images are rows of 784 uint8 numbers
    until `x_layout` is set or ``scaleX()`` is called.

    Parameters, attributes and methods are those of `datasetslib.dataset.ImageDataset`.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86(11), 1998, 2278-2324.

    Examples
    --------
    >>> from datasetslib import imutil
    >>> dataset = mnist(source="synthetic", n_train=50, n_valid=10, n_test=10)
    >>> dataset.x_layout = imutil.LAYOUT_NHWC
    >>> dataset.load_data()  # doctest: +ELLIPSIS
    mnist: synthetic...
    >>> dataset.X_train.shape, dataset.X_train.dtype
    ((50, 28, 28, 1), dtype('uint8'))
    >>> dataset.Y_train.shape, dataset.Y_train.dtype
    ((50,), dtype('int32'))
    >>> dataset.class_names[7]
    '7'
    """

    __slots__ = ()

    name = "mnist"
    title = "MNIST"
    height = 28
    width = 28
    depth = 1
    class_names = tuple("0123456789")
    licence = "Creative Commons Attribution-ShareAlike 3.0 (CC BY-SA 3.0)"
    citation = (
        "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner: Gradient-based learning applied to "
        "document recognition. Proceedings of the IEEE 86(11), 1998, 2278-2324"
    )
    homepage = "http://yann.lecun.com/exdb/mnist/ (no longer served)"
    _file_layout = imutil.LAYOUT_NHW
    _n_validation = 5_000
