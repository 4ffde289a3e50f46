"""Properties that every figure must have, then what each kind must show."""

import io
import itertools
from unittest import mock

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from datasetslib import plots, recording
from datasetslib.plots import style

NINE = np.arange(1, 10).reshape(3, 3)
KERNEL = np.array([[0, -1], [-1, 0]])
EDGES = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
LENET = [
    ("input", (28, 28, 1)), ("conv 4x4", (28, 28, 32)), ("max pool", (14, 14, 32)),
    ("conv 4x4", (14, 14, 64)), ("max pool", (7, 7, 64)), ("flatten", (3136,)),
    ("dense ReLU", (1024,)), ("dense", (10,)),
]
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def answers(n=600, wrong=130):
    """Return images, true labels and confident probabilities with known mistakes."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 10, n)
    guess = y.copy()
    guess[:wrong] = (y[:wrong] + rng.integers(1, 10, wrong)) % 10
    sure = rng.uniform(0.5, 1.0, n)
    chances = np.repeat((1 - sure)[:, None] / 9, 10, axis=1)
    chances[np.arange(n), guess] = sure
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), y, chances


def confusion(names):
    _, y, chances = answers()
    return plots.confusion_matrix(y, chances.argmax(axis=1), names)


def curves():
    epochs = np.arange(10)
    runs = {
        label: {"loss": np.exp(-epochs / k), "accuracy": 1 - 0.2 * np.exp(-epochs / k)}
        for k, label in enumerate(("TensorFlow, Adam", "Keras, SGD", "Keras, Adam"), 2)
    }
    runs["Keras, SGD"]["val_loss"] = runs["Keras, SGD"]["loss"] + 0.1
    return plots.learning_curves(runs)


def seeds(**keywords):
    groups = {
        "TensorFlow, Adam": [0.9897, 0.9901, 0.9904], "TensorFlow, SGD": [0.981, 0.9815, 0.982],
        "Keras, Adam": [0.99, 0.991, 0.9896], "Keras, SGD": [0.9785, 0.981, 0.98],
    }
    return plots.bars_with_spread(groups, "test accuracy", 0.9884, **keywords)


def mistakes(names=range(10), n=100):
    return plots.mistakes(*answers(), names, n=n)


DRAWINGS = {
    "convolution": lambda: plots.convolution_panels(NINE, KERNEL),
    "convolution, padded": lambda: plots.convolution_panels(NINE, EDGES, padding=1),
    "convolution, stride": lambda: plots.convolution_panels(
        np.arange(25).reshape(5, 5), EDGES, stride=2
    ),
    "convolution, no sums": lambda: plots.convolution_panels(NINE, KERNEL, show_products=False),
    "convolution, fractions": lambda: plots.convolution_panels(NINE, np.full((3, 3), 1 / 9)),
    "max pooling": lambda: plots.pooling_panels(NINE),
    "average pooling": lambda: plots.pooling_panels(NINE, mode="average"),
    "pooling 3x3": lambda: plots.pooling_panels(np.arange(25).reshape(5, 5), 3, 2),
    "shapes": lambda: plots.shape_chain(LENET),
}
DATA_FIGURES = {
    "maps": lambda: plots.feature_maps(np.maximum(random(14, 14, 32), 0)),
    "maps, titles": lambda: plots.feature_maps(
        random(28, 28, 6), titles=["identity", "blur", "sharpen", "horizontal", "vertical", "both"]
    ),
    "kernels": lambda: plots.kernels(random(4, 4, 1, 32)),
    "row": lambda: plots.image_row(
        [random(n, n) for n in (28, 14, 7, 4)], [f"{n} pixels" for n in (28, 14, 7, 4)]
    ),
    "colour row": lambda: plots.image_row([np.zeros((20, 30, 3), np.uint8)] * 5, None),
    "curves": curves,
    "confusion, digits": lambda: confusion(range(10)),
    "confusion, names": lambda: confusion(CLASSES),
    "mistakes": mistakes,
    "mistakes, names": lambda: mistakes(CLASSES, 12),
    "no mistakes": lambda: plots.mistakes(np.zeros((1, 8, 8)), [0], [[1.0, 0.0]], "ab"),
    "bars": seeds,
    "points": lambda: seeds(from_zero=False, fmt=".4f"),
}
FIGURES = DRAWINGS | DATA_FIGURES


@pytest.fixture(autouse=True)
def real_data_only(monkeypatch):
    monkeypatch.setattr(recording, "synthetic_loaded", False)


@pytest.fixture(params=FIGURES, scope="module")
def figure(request):
    return FIGURES[request.param]()


def texts(fig):
    """Return the texts that are drawn, which the ticks outside of an axis are not."""
    drawn = []
    draw = Text.draw
    with mock.patch.object(Text, "draw", lambda t, renderer: (drawn.append(t), draw(t, renderer))):
        FigureCanvasAgg(fig).draw()
    return [t for t in dict.fromkeys(drawn) if t.get_visible() and t.get_text().strip()]


def words(ax):
    return [t.get_text() for t in ax.texts]


def svg(fig):
    file = io.BytesIO()
    fig.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def contrast(one, other):
    def luminance(colour):
        c = np.array(to_rgb(colour))
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return c @ (0.2126, 0.7152, 0.0722)

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


# --- every figure ------------------------------------------------------------------------


def test_width_and_face(figure):
    assert figure.get_figwidth() == 6.4
    assert min(to_rgba(figure.get_facecolor())) > 0.95  # opaque and near white: dark pages


def test_text_can_be_read_on_a_phone(figure):
    pixels_per_point = 350 / (72 * figure.get_figwidth())
    for text in texts(figure):
        assert text.get_fontsize() * pixels_per_point >= 9, text.get_text()


def test_text_is_inside_and_apart(figure):
    boxes = [(t.get_text(), t.get_window_extent().padded(-1)) for t in texts(figure)]
    page = figure.bbox
    for text, box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{text!r} is cut off"
        assert page.y0 <= box.y0 and box.y1 <= page.y1, f"{text!r} is cut off"
    for (text, box), (other, its) in itertools.combinations(boxes, 2):
        assert not box.overlaps(its), f"{text!r} lies on {other!r}"


@pytest.mark.parametrize("name", FIGURES)
def test_two_drawings_are_the_same_bytes(name):
    with mpl.rc_context(style.STYLE):
        first, second = svg(FIGURES[name]()), svg(FIGURES[name]())
    assert first == second
    assert b"<dc:date>" not in first
    assert len(first) < 300_000


def test_pyplot_does_not_keep_it(figure):
    assert plt.get_fignums() == []


def test_the_notebook_s_own_settings_do_not_matter():
    expected = curves()
    with mpl.rc_context({"font.size": 5, "axes.facecolor": "red", "figure.facecolor": "red"}):
        fig = curves()
        assert mpl.rcParams["font.size"] == 5  # and are left alone
    with mpl.rc_context(style.STYLE):
        assert svg(fig) == svg(expected)


@pytest.mark.parametrize("name", ["convolution", "max pooling", "shapes"])
def test_drawings_without_data_are_never_called_synthetic(name, monkeypatch):
    monkeypatch.setattr(recording, "synthetic_loaded", True)
    assert DRAWINGS[name]().texts == []


@pytest.mark.parametrize("name", DATA_FIGURES)
def test_synthetic_data_are_called_so(name, monkeypatch):
    monkeypatch.setattr(recording, "synthetic_loaded", True)
    fig = DATA_FIGURES[name]()
    notes = [t for t in texts(fig) if t.get_gid() == "note"]
    assert [t.get_text() for t in notes] == ["synthetic data"]
    test_text_is_inside_and_apart(fig)


def test_finish_notes_once_and_closes_own_figures():
    fig, _ = plt.subplots()
    assert plt.get_fignums()
    assert plots.finish(plots.finish(fig, synthetic=True), synthetic=True) is fig
    assert [t.get_text() for t in fig.texts] == ["synthetic data"]
    assert plt.get_fignums() == []


def test_use_style_sets_the_style():
    with mpl.rc_context():
        mpl.rcdefaults()
        plots.use_style()
        assert mpl.rcParams["image.interpolation"] == "none"
        assert mpl.rcParams["svg.hashsalt"] == "datasetslib"
        assert mpl.rcParams["font.size"] >= 12 and mpl.rcParams["xtick.labelsize"] >= 12


def test_colours_can_be_read():
    face = plots.COLOURS["face"]
    assert contrast(plots.COLOURS["ink"], face) > 12
    for ground in ("face", "pale grey"):
        assert contrast(plots.COLOURS["grey"], plots.COLOURS[ground]) >= 4.5
    for ground in ("pale sky", "pale orange", "pale green"):
        assert contrast(plots.COLOURS["ink"], plots.COLOURS[ground]) >= 7
    for share in np.linspace(0, 1, 21):
        ground = style.SEQUENTIAL(share)
        assert contrast(style.ink_on(ground), ground) >= 4.5
    assert len({(line["color"], str(line["linestyle"])) for line in style.LINES}) == 7
    assert len({line["marker"] for line in style.LINES}) == 7


# --- worked examples ---------------------------------------------------------------------


def test_the_convolution_of_the_course():
    fig = plots.convolution_panels(NINE, KERNEL)
    kernel, *panels = fig.axes
    assert words(kernel) == ["0", "−1", "−1", "0", "the kernel:"]
    assert [words(ax)[-1] for ax in panels] == [
        "0·1 + (−1)·2 +\n(−1)·4 + 0·5 = −6",
        "0·2 + (−1)·3 +\n(−1)·5 + 0·6 = −8",
        "0·4 + (−1)·5 +\n(−1)·7 + 0·8 = −12",
        "0·5 + (−1)·6 +\n(−1)·8 + 0·9 = −14",
    ]
    results = ["−6", "−8", "−12", "−14"]
    for k, ax in enumerate(panels, 1):  # the map grows by one number from panel to panel
        assert words(ax) == [*map(str, range(1, 10)), *results[:k], *words(ax)[-2:]]
    corners = [tuple(np.round(ax.get_position().p0, 6)) for ax in panels]
    assert len({x for x, _ in corners}) == 2 and len({y for _, y in corners}) == 2


def test_padding_is_hatched_and_windows_are_framed():
    fig = plots.convolution_panels(NINE, EDGES, padding=1)
    assert len(fig.axes) == 1 + 9
    first = fig.axes[1]
    assert sum(patch.get_hatch() is not None for patch in first.patches) == 25 - 9
    frames = [p for p in first.patches if to_hex(p.get_edgecolor()) == plots.COLOURS["blue"]]
    assert [(p.get_width(), p.get_height()) for p in frames] == [(3, 3), (1, 1)]
    assert words(first)[-1].endswith("= −9")


def test_small_unsigned_pixels_do_not_wrap_around():
    fig = plots.convolution_panels(np.full((2, 2), 200, np.uint8), np.full((2, 2), 2, np.uint8))
    assert words(fig.axes[1])[-1].endswith("= 1600")


def test_the_kernel_is_not_flipped():
    fig = plots.convolution_panels([[10, 1]], [[1, 2]])
    assert words(fig.axes[1])[-1] == "1·10 + 2·1 = 12"


def test_the_pooling_of_the_course():
    fig = plots.pooling_panels(NINE)
    assert [words(ax)[-1][-1] for ax in fig.axes] == ["5", "6", "8", "9"]
    for ax, winner in zip(fig.axes, "5689", strict=True):
        assert [t.get_text() for t in ax.texts if t.get_fontweight() == "bold"] == [winner]
        won = [p for p in ax.patches if to_hex(p.get_facecolor()) == plots.COLOURS["pale orange"]]
        assert len(won) == 1


def test_a_draw_has_one_winner():
    (ax,) = plots.pooling_panels([[7, 7], [7, 7]]).axes
    assert sum(t.get_fontweight() == "bold" for t in ax.texts) == 1


def test_average_pooling():
    fig = plots.pooling_panels(NINE, mode="average")
    assert words(fig.axes[0])[-1] == "(1 + 2 + 4 + 5) / 4 = 3"
    fig = plots.pooling_panels([[1, 2], [4, 6]], mode="average")
    assert words(fig.axes[0])[-1].endswith("= 3.25")


def test_the_chain_of_lenet():
    (ax,) = plots.shape_chain(LENET).axes
    assert words(ax)[::2] == [
        "input", "conv\n4×4", "max\npool", "conv\n4×4", "max\npool", "flatten", "dense\nReLU",
        "dense",
    ]
    assert words(ax)[1::2] == [
        "28×28×1", "28×28×32", "14×14×32", "14×14×64", "7×7×64", "3136", "1024", "10",
    ]


def test_annotate_matrix_marks_cells():
    ax = Figure().add_subplot()
    mask = [[True, False], [False, False]]
    plots.annotate_matrix(ax, [[0.5, -2], [3, 4]], window=(1, 0, 1, 2), strong=mask, shown=mask)
    assert words(ax) == ["0.5"] and ax.texts[0].get_fontweight() == "bold"
    assert len(ax.patches) == 5 and ax.yaxis_inverted()


# --- learned things ----------------------------------------------------------------------


def mosaic(fig):
    return fig.axes[0].images[0].get_array()


def test_zero_weights_are_near_white_and_signs_opposite():
    weights = np.zeros((1, 3, 1, 1))
    weights[0, :, 0, 0] = (-2, 0, 2)
    fig = plots.kernels(weights)
    row = mosaic(fig)[0]
    n = 40 // 3 + 1
    negative, zero, positive = row[0], row[n], row[2 * n]
    assert negative[2] > negative[0] and positive[0] > positive[2] and zero.min() > 0.95
    bar = fig.axes[1]
    assert [t.get_text() for t in bar.get_xticklabels()] == ["−2", "0", "2"]


def test_kernels_show_the_channel_that_is_asked_for():
    weights = np.zeros((2, 2, 2, 3))
    weights[:, :, 1] = 1
    assert mosaic(plots.kernels(weights, channel=0))[0, 0].min() > 0.95
    assert mosaic(plots.kernels(weights, channel=1))[0, 0].min() < 0.2


def test_maps_share_one_scale():
    maps = np.zeros((40, 40, 2))
    maps[..., 0], maps[..., 1] = 2.0, 4.0
    image = mosaic(plots.feature_maps(maps))
    assert image[0, 0, 0] == pytest.approx(0.5, abs=0.01) and image[0, -1, 0] == 1.0


def test_images_of_several_sizes_and_kinds():
    fig = plots.image_row([np.zeros((28, 28, 1), np.uint8), random(7, 7), np.ones((4, 6, 3))])
    limits = [ax.images[0].get_clim() for ax in fig.axes]
    assert limits[0] == (0, 255) and limits[1][0] == -limits[1][1] and limits[2] == (0, 1)
    assert all(ax.images[0].get_interpolation() == "none" for ax in fig.axes)


def test_curves_have_a_line_for_each_run_and_a_legend():
    fig = curves()
    loss, accuracy = fig.axes
    assert (len(loss.lines), len(accuracy.lines)) == (4, 3)
    assert len({(line.get_color(), str(line.get_linestyle())) for line in loss.lines}) == 4
    assert len({line.get_marker() for line in accuracy.lines}) == 3
    labels = [t.get_text() for t in fig.legends[0].get_texts()]
    assert "Keras, SGD, validation" in labels and len(labels) == 4
    assert list(loss.lines[0].get_xdata()) == list(range(1, 11))


def test_curves_take_histories_as_training_and_keras_return_them():
    class Ours:
        metrics = {"loss": [2.0, 1.0]}

    class Theirs:
        history = {"loss": [3.0, 2.0]}

    (ax,) = plots.learning_curves({"ours": Ours(), "theirs": Theirs()}, "loss").axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[2, 1], [3, 2]]


def test_confusions_are_counted_and_coloured_by_row():
    y_true, y_pred = [0] * 4 + [1] * 100, [0, 0, 1, 1] + [1] * 90 + [0] * 10
    (ax,) = plots.confusion_matrix(y_true, y_pred, ["cat", "dog"]).axes
    assert words(ax) == ["2", "2", "10", "90"]
    right, worst, mild, _ = (to_hex(p.get_facecolor()) for p in ax.patches)
    assert right == plots.COLOURS["pale grey"]  # right answers stay out of the way
    # 2 of 4 is worse than 10 of 100.
    assert worst == to_hex(style.SEQUENTIAL(1.0)) and mild == to_hex(style.SEQUENTIAL(0.2))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog"]


def test_mistakes_come_with_the_most_confident_first():
    images, y, chances = answers()
    guess = chances.argmax(axis=1)
    order = sorted(np.flatnonzero(guess != y), key=lambda k: -chances[k, guess[k]])[:100]
    fig = plots.mistakes(images, y, chances, range(10))
    assert words(fig.axes[0]) == [f"{y[k]}→{guess[k]}" for k in order]
    shown = mosaic(fig)[:56:2, :56:2, 0]
    assert np.allclose(shown, images[order[0]] / 255)


def test_fewer_mistakes_and_none():
    images, y, chances = answers(wrong=7)
    assert len(words(plots.mistakes(images, y, chances, range(10)).axes[0])) == 7
    fig = FIGURES["no mistakes"]()
    assert [t.get_text() for t in texts(fig)] == ["no mistake among 1 images"]


def test_bars_show_the_mean_every_seed_and_the_baseline():
    (ax,) = plots.bars_with_spread({"a": [1.0, 2.0, 4.5], "b": [3.0]}, "loss", 2.25).axes
    assert [bar.get_width() for bar in ax.patches] == [2.5, 3.0]
    dots, lone, baseline = ax.lines
    assert list(dots.get_xdata()) == [1.0, 2.0, 4.5] and list(lone.get_xdata()) == [3.0]
    assert list(baseline.get_xdata()) == [2.25, 2.25]
    assert words(ax) == ["2.500", "3.000", "mean", "baseline"] and ax.get_xlabel() == "loss"


def test_a_bar_starts_at_zero_or_is_none():
    (ax,) = seeds().axes
    assert ax.get_xlim()[0] == 0 and len(ax.patches) == 4
    (ax,) = seeds(from_zero=False).axes
    assert ax.get_xlim()[0] > 0.97 and len(ax.patches) == 0


# --- what bad input gets -----------------------------------------------------------------

IMAGES, Y, CHANCES = answers(20, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.convolution_panels([1, 2], KERNEL), r"image must be a matrix.*\(2,\)"),
        (lambda: plots.convolution_panels(NINE, [["a"]]), "kernel must be a matrix"),
        (lambda: plots.convolution_panels(KERNEL, NINE), "3 x 3 does not fit.*2 x 2"),
        (lambda: plots.convolution_panels(NINE, KERNEL, stride=0), "stride.*at least 1, found 0"),
        (lambda: plots.convolution_panels(NINE, KERNEL, stride=1.5), "stride.*found 1.5"),
        (lambda: plots.convolution_panels(NINE, KERNEL, padding=-1), "padding.*at least 0"),
        (lambda: plots.convolution_panels(np.zeros((9, 9)), KERNEL), "64 positions, at most 36"),
        (lambda: plots.convolution_panels(NINE * 1e30, KERNEL), "does not fit in 6.4 inches"),
        (lambda: plots.pooling_panels(NINE, size=4), "4 x 4 does not fit"),
        (lambda: plots.pooling_panels(NINE, size=True), "size.*found True"),
        (lambda: plots.pooling_panels(NINE, mode="min"), "'max' or 'average', found 'min'"),
        (lambda: plots.annotate_matrix(None, [1]), "array must be a matrix"),
        (
            lambda: plots.annotate_matrix(Figure().add_subplot(), NINE, window=(2, 2, 2, 2)),
            r"window \(2, 2, 2, 2\).*outside",
        ),
        (
            lambda: plots.annotate_matrix(Figure().add_subplot(), NINE, strong=[True]),
            r"strong must have the shape.*\(3, 3\), found \(1,\)",
        ),
        (lambda: plots.shape_chain([]), "at least one layer"),
        (lambda: plots.shape_chain(["conv"]), "a name and a shape.*found 'conv'"),
        (lambda: plots.shape_chain([("conv", 3)]), "a name and a shape"),
        (lambda: plots.shape_chain([("a" * 90, (1,))]), "names must be shorter"),
        (lambda: plots.feature_maps(NINE), r"\(height, width, maps\), found shape \(3, 3\)"),
        (lambda: plots.feature_maps(np.full((2, 2, 1), np.nan)), "must be finite"),
        (lambda: plots.feature_maps(np.ones((2, 2, 3)), titles=["a"]), "expected 3 titles.*1"),
        (lambda: plots.feature_maps(np.ones((2, 2, 3)), n_cols=0), "n_cols.*found 0"),
        (lambda: plots.kernels(NINE), r"\(height, width, in, out\)"),
        (lambda: plots.kernels(np.ones((2, 2, 1, 4)), channel=1), r"0\.\.0, found 1"),
        (lambda: plots.image_row([]), "at least one image"),
        (lambda: plots.image_row([np.zeros(784)]), r"image_row: an image must.*\(784,\)"),
        (lambda: plots.image_row([NINE], ["a", "b"]), "expected 1 titles.*found 2"),
        (lambda: plots.learning_curves({}), "at least one run"),
        (lambda: plots.learning_curves({"a": {"mae": [1]}}), "no run has 'loss'; found mae"),
        (lambda: plots.confusion_matrix([0, 1], [0], "ab"), "found 1 and 2"),
        (lambda: plots.confusion_matrix([0, 2], [0, 1], "ab"), r"y_true must lie in 0\.\.1"),
        (lambda: plots.confusion_matrix([0, 1], [0.0, 1.0], "ab"), "y_pred must be integer"),
        (lambda: plots.mistakes(np.zeros((20, 784)), Y, CHANCES, range(10)), r"\(20, 784\)"),
        (lambda: plots.mistakes(IMAGES, Y[:9], CHANCES, range(10)), "expected 20 labels.*9"),
        (lambda: plots.mistakes(IMAGES, Y, CHANCES * 3, range(10)), "add up to 1.*softmax"),
        (lambda: plots.mistakes(IMAGES, Y, CHANCES, range(10), n=0), "at least 1, found 0"),
        (lambda: plots.bars_with_spread({}, "x"), "at least one group"),
        (lambda: plots.bars_with_spread({"a": []}, "x"), "group 'a' must be a list"),
        (lambda: plots.bars_with_spread({"a": [np.nan]}, "x"), "finite numbers"),
        (lambda: plots.finish(None), "expected a matplotlib Figure, found NoneType"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_package_offers_exactly_these_names():
    assert all(callable(getattr(plots, n)) or n in ("COLOURS", "WIDTH") for n in plots.__all__)
    assert sorted(plots.__all__) == sorted(set(plots.__all__))
