"""CIFAR-10: 60,000 small colour photographs, 32 x 32 pixels, three channels, ten classes."""

from datasetslib import imutil
from datasetslib.dataset import ImageDataset


class cifar10(ImageDataset):
    """The CIFAR-10 photographs, split 50,000 / 0 / 10,000.

    There is no validation split unless `n_valid` asks for one; it is then taken from the front
    of the training files, and the rest is for training. Images are rows of 3,072 uint8 numbers
    until `x_layout` is set or ``scaleX()`` is called. The files hold them channels first; here
    a row runs over the pixels with their three channels side by side, so that it can be
    reshaped to (32, 32, 3).

    Parameters, attributes and methods are those of `datasetslib.dataset.ImageDataset`.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report,
    University of Toronto, 2009.

    Examples
    --------
    >>> from datasetslib import imutil
    >>> dataset = cifar10(source="synthetic", n_train=50, n_test=10)
    >>> dataset.x_layout = imutil.LAYOUT_NHWC
    >>> dataset.load_data()  # doctest: +ELLIPSIS
    cifar10: synthetic...
    >>> dataset.scaleX()
    >>> dataset.X_train.shape, dataset.X_train.dtype
    ((50, 32, 32, 3), dtype('float32'))
    >>> dataset.y_onehot = True
    >>> dataset.Y_test.shape
    (10, 10)
    >>> dataset.class_names[6]
    'frog'
    """

    __slots__ = ()

    name = "cifar10"
    title = "CIFAR-10"
    height = 32
    width = 32
    depth = 3
    class_names = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    licence = "none stated by its authors; this project does not redistribute it"
    citation = (
        "A. Krizhevsky: Learning multiple layers of features from tiny images. Technical "
        "report, University of Toronto, 2009 (data collected by A. Krizhevsky, V. Nair and "
        "G. Hinton)"
    )
    homepage = "https://www.cs.toronto.edu/~kriz/cifar.html"
    _file_layout = imutil.LAYOUT_NCHW
