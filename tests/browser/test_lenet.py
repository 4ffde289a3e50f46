"""The live LeNet of chapter 05: its arithmetic against NumPy and Keras, and its controls."""

import ast
import base64
import hashlib
import json
import math
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from datasetslib.mnist import mnist
from tests.browser import notebooks
from tests.browser.reader import CALM, come_near
from tools import live_lenet
from tools.live_lenet import EXPLORERS, ROOT, WEIGHTS

PAGE = "chapters/05_mnist_keras.html"
CHAPTER = ROOT / "chapters" / "05_mnist_keras.py"
FILE = re.compile(r"/lenet_weights\.js")


def relative_difference(a, b):
    return np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b)


def functions(*names, **others):
    """Return functions of the chapter, executed."""
    return notebooks.functions("05_mnist_keras", *names, **others)


@pytest.fixture(scope="module")
def weights():
    """Arrays of the committed file, as the tool reads them."""
    return live_lenet.read(WEIGHTS.read_text(encoding="ascii"))[0]


@pytest.fixture
def bare(page):
    """A page with the arithmetic alone, and the network decoded in ``window.net``."""
    for script in ("lenet_math.js", "lenet_strokes.js", "lenet_weights.js"):
        page.add_script_tag(path=EXPLORERS / script)
    page.evaluate("() => { window.net = course.lenetMath.decode(course.lenetWeights); }")
    return page


def arrays_of(page, images, names):
    """Return arrays on the way through the network, for rows of 784 bytes."""
    found = page.evaluate("""([text, names]) => {
      const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)), all = [];
      for (let at = 0; at < bytes.length; at += 784) {
        const image = Float32Array.from(bytes.subarray(at, at + 784), b => b / 255);
        const run = course.lenetMath.forward(net, image);
        all.push(names.map(name => Float32Array.from(run[name])));
      }
      // Bytes, because millions of numbers take a minute to be written out as text and read again.
      return Promise.all(names.map((_, k) => new Promise(resolve => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result.split(",")[1]);
        reader.readAsDataURL(new Blob(all.map(arrays => arrays[k])));
      })));
    }""", [base64.b64encode(images.tobytes()).decode(), names])
    return [np.frombuffer(base64.b64decode(text), "<f4").reshape(len(images), -1)
            for text in found]


def synthetic(n):
    dataset = mnist(source="synthetic", n_train=1, n_valid=1, n_test=n)
    dataset.load_data()
    return dataset.X_test.reshape(n, 784)


# --- the arithmetic ----------------------------------------------------------------------


def test_sha256(page):
    page.add_script_tag(path=EXPLORERS / "lenet_math.js")
    for n in (0, 3, 55, 56, 64, 1000):
        message = bytes(k * 7 % 256 for k in range(n))
        found = page.evaluate("b => course.lenetMath.sha256(Uint8Array.from(b))", list(message))
        assert found == hashlib.sha256(message).hexdigest()


def test_agrees_with_keras_on_100_synthetic_digits(bare, weights):
    import keras

    model = functions("build", keras=keras, layers=keras.layers)["build"]()
    model.set_weights(weights)
    outputs = [layer.output for layer in model.layers]
    names = ["conv1", "pool1", "conv2", "pool2", "hidden", "probabilities"]
    layers = [outputs[k] for k in (1, 2, 3, 4, 6, 7)]  # all but reshaping and flattening
    assert len(outputs) == 8
    images = synthetic(100)
    ours = arrays_of(bare, images, names)
    theirs = keras.Model(model.inputs, layers).predict(
        images.astype("float32") / 255, verbose=0)
    for name, a, b in zip(names, ours, theirs, strict=True):
        assert relative_difference(a, b.reshape(100, -1)) <= 1e-4, name
    assert np.array_equal(ours[-1].argmax(axis=1), theirs[-1].argmax(axis=1))
    assert len(set(ours[-1].argmax(axis=1))) > 3, "images that all look alike would prove little"


@pytest.mark.parametrize("layer, side, channels, filters", [(1, 28, 1, 32), (2, 14, 32, 64)])
def test_one_pixel_taken_apart_is_the_pixel(bare, weights, layer, side, channels, filters):
    image = synthetic(3)[2:]
    name = "image" if layer == 1 else "pool1"
    given, conv = (a[0] for a in arrays_of(bare, image, [name, f"conv{layer}"]))
    given = np.pad(given.reshape(side, side, channels), ((1, 2), (1, 2), (0, 0)))
    conv = conv.reshape(side, side, filters)
    kernel, bias = weights[2 * layer - 2], weights[2 * layer - 1]
    rng = np.random.default_rng(layer)
    places = [(0, 0), (side - 1, side - 1), *rng.integers(0, side, (20, 2)).tolist()]
    for i, j in places:
        f = int(rng.integers(filters))
        told = bare.evaluate("""([image, layer, f, i, j]) => {
          const run = course.lenetMath.forward(net, Float32Array.from(image));
          return course.lenetMath.explain(net, run, layer, f, i, j);
        }""", [(image[0] / 255).tolist(), layer, f, i, j])
        patch = given[i : i + 4, j : j + 4]
        products = patch * kernel[..., f]
        shown = np.array([part["products"] for part in told["channels"]]).reshape(channels, 4, 4)
        assert np.allclose(shown, products.transpose(2, 0, 1), atol=1e-6)
        assert math.isclose(told["before"], products.sum() + bias[f], rel_tol=1e-4, abs_tol=1e-5)
        assert math.isclose(told["value"], conv[i, j, f], rel_tol=1e-4, abs_tol=1e-5)
        outside = sum(value is None for value in told["channels"][0]["patch"])
        assert outside == 16 - (min(i + 3, side) - max(i - 1, 0)) * (
            min(j + 3, side) - max(j - 1, 0))


def test_strokes_become_images_as_in_the_chapter(bare):
    like_mnist = functions("rasterise", "scaled", "like_mnist")["like_mnist"]
    drawings = bare.evaluate("course.lenetStrokes")
    assert len(drawings) == 10
    for strokes in drawings:
        ours = bare.evaluate("s => Array.from(course.lenetMath.likeMnist(s))", strokes)
        assert np.allclose(np.array(ours).reshape(28, 28), like_mnist(strokes), atol=1e-4)


def test_the_two_among_the_drawings_is_the_chapters_own(bare):
    tree = ast.parse(CHAPTER.read_text(encoding="utf-8"))
    own = next(ast.literal_eval(node.value) for node in tree.body
               if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "strokes")
    assert bare.evaluate("course.lenetStrokes[2]") == json.loads(json.dumps(own))


def test_all_ten_drawings_are_read(bare):
    found = bare.evaluate("""course.lenetStrokes.map(
      s => course.lenetMath.forward(net, course.lenetMath.likeMnist(s)).reading)""")
    assert found == list(range(10))


@pytest.mark.parametrize("strokes, ink", [([], None), ([[[0.5, 0.5]]], True),
                                          ([[[0, 0], [0, 0]]], True)])
def test_nothing_and_dots(bare, strokes, ink):
    image = bare.evaluate(
        "s => { const i = course.lenetMath.likeMnist(s); return i && Array.from(i); }", strokes)
    if ink is None:
        assert image is None
    else:
        assert np.isfinite(image).all() and 2 < sum(image) < 12


# --- in the page -------------------------------------------------------------------------


@pytest.fixture
def lenet(page, site):
    """The explorer in the book, asleep."""
    page.goto(site + PAGE)
    return come_near(page, "#explorer-lenet")


def reading(explorer, page):
    """Wait until the network has read; return the digit that is shown."""
    page.wait_for_selector("#explorer-lenet.ln-awake")
    page.wait_for_timeout(100)  # one picture further
    return explorer.locator(".ln-answer").inner_text()


def chances(explorer):
    shown = explorer.locator(".ln-percent").all_inner_texts()
    return [float(text.removesuffix(" %")) for text in shown]


def sum_shown(explorer):
    """Return the lines of the sum, as numbers by name."""
    lines = explorer.locator(".ln-sum > div").all()
    return {line.locator("dt").inner_text(): float(
        line.locator("dd").inner_text().replace("\N{MINUS SIGN}", "-")) for line in lines}


def test_the_weights_come_with_the_first_stroke_and_not_before(page, site):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site + PAGE)
    explorer = come_near(page, "#explorer-lenet")
    page.wait_for_load_state("networkidle")
    assert "empty" in explorer.locator(".ln-note").inner_text() or "fetches" in (
        explorer.locator(".ln-note").inner_text())
    assert not [url for url in asked if FILE.search(url)]
    for digit in (3, 8):
        explorer.get_by_role("button", name=f"Drawing of a {digit}").click()
        assert reading(explorer, page) == str(digit)
        assert max(chances(explorer)) == chances(explorer)[digit] > 90
    assert len([url for url in asked if FILE.search(url)]) == 1


def test_from_a_file(page, site_file):
    page.goto(site_file + PAGE)
    explorer = come_near(page, "#explorer-lenet")
    explorer.get_by_role("button", name="Drawing of a 7").click()
    assert reading(explorer, page) == "7"


def test_clearing_and_undoing(lenet, page):
    lenet.get_by_role("button", name="Drawing of a 5").click()
    assert reading(lenet, page) == "5"
    image = "Array.from(document.querySelector('#explorer-lenet').lenet.run().image)"
    before = page.evaluate(image)
    lenet.get_by_role("button", name="Take the last stroke back").click()
    page.wait_for_timeout(200)
    after = page.evaluate(image)
    strokes = page.evaluate("course.lenetStrokes[5]")
    like_mnist = functions("rasterise", "scaled", "like_mnist")["like_mnist"]
    assert np.allclose(before, like_mnist(strokes).ravel(), atol=1e-4)
    assert np.allclose(after, like_mnist(strokes[:-1]).ravel(), atol=1e-4)
    lenet.get_by_role("button", name="Clear the board").click()
    page.wait_for_function("document.querySelector('.ln-answer').textContent === '?'")
    assert "board is empty" in lenet.locator(".ln-note").inner_text()


def draw(page, explorer, points):
    """Draw a stroke with the mouse; the points are parts of the board's side."""
    board = explorer.locator(".ln-board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_drawing_with_the_mouse(lenet, page):
    draw(page, lenet, [(0.25, 0.2), (0.75, 0.2), (0.45, 0.9)])
    assert reading(lenet, page) == "7"
    # A small one in the corner is read as well, but for the switch.
    lenet.get_by_role("button", name="Clear the board").click()
    draw(page, lenet, [(0.05, 0.05), (0.25, 0.05), (0.13, 0.33)])
    assert reading(lenet, page) == "7"
    before = chances(lenet)
    lenet.get_by_role("switch", name="Fit and centre").click()
    page.wait_for_timeout(200)
    assert chances(lenet) != before


def test_the_reading_changes_while_the_pen_moves(lenet, page):
    lenet.get_by_role("button", name="Drawing of a 1").click()
    assert reading(lenet, page) == "1"
    lenet.get_by_role("button", name="Clear the board").click()
    board = lenet.locator(".ln-board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"], steps=10)
    page.wait_for_function("document.querySelector('.ln-answer').textContent === '1'")
    page.mouse.up()


def test_beyond_the_edge_and_dots_get_a_plain_sentence(lenet, page):
    lenet.get_by_role("button", name="Drawing of a 1").click()
    reading(lenet, page)
    lenet.get_by_role("button", name="Clear the board").click()
    draw(page, lenet, [(0.5, 0.5)])
    page.wait_for_function(
        "document.querySelector('.ln-note').textContent.includes('hardly more than a dot')")
    said = lenet.locator(".ln-said-outside")
    draw(page, lenet, [(0.5, 0.5), (1.1, 0.5), (0.5, 0.9)])
    assert "left the board" in said.inner_text()


def test_drawing_with_the_keyboard(lenet, page):
    board = lenet.locator(".ln-board")
    board.focus()
    page.keyboard.press("Space")
    for _ in range(16):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert reading(lenet, page) == "1"
    page.keyboard.press("Backspace")
    page.wait_for_function("document.querySelector('.ln-answer').textContent === '?'")


def test_drawing_with_a_finger(phone, site):
    phone.goto(site + PAGE)
    explorer = come_near(phone, "#explorer-lenet")
    board = explorer.locator(".ln-board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    touch = phone.context.new_cdp_session(phone)
    for k, (x, y) in enumerate([(0.25, 0.2), (0.5, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.9)]):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        touch.send("Input.dispatchTouchEvent",
                   {"type": "touchMove" if k else "touchStart", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert reading(explorer, phone) == "7"
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def first_conv(strokes, weights, channel, i, j):
    """Return the sum of products and the bias behind a pixel of the first convolution."""
    image = functions("rasterise", "scaled", "like_mnist")["like_mnist"](strokes)
    patch = np.pad(image, ((1, 2), (1, 2)))[i : i + 4, j : j + 4]
    return float((patch * weights[0][:, :, 0, channel]).sum()), float(weights[1][channel])


def test_a_click_on_a_pixel_shows_its_patch_and_its_sum(lenet, page, weights):
    strokes = page.evaluate("course.lenetStrokes[3]")
    lenet.get_by_role("button", name="Drawing of a 3").click()
    reading(lenet, page)
    tile = lenet.locator(".ln-channels-1 .ln-channel").nth(18).locator(".ln-map")
    tile.scroll_into_view_if_needed()
    side = tile.bounding_box()["width"]
    i, j = 12, 15
    tile.click(position={"x": (j + 0.5) * side / 28, "y": (i + 0.5) * side / 28})
    caption = lenet.locator("figcaption").all_inner_texts()[-1]
    assert caption.startswith("feature map 19, ")
    row, column = (int(n) - 1 for n in re.findall(r"\d+", caption)[1:])
    # On the screen such a pixel is little more than one pixel wide, and the mouse knows no halves.
    assert abs(row - i) <= 1 and abs(column - j) <= 1
    i, j = row, column
    products, bias = first_conv(strokes, weights, 18, i, j)
    lines = sum_shown(lenet)
    assert abs(lines["Sum of the 16 products"] - products) < 2e-4
    assert abs(lines["Bias of this kernel"] - bias) < 1e-4
    assert abs(lines["Together"] - products - bias) < 2e-4
    assert products + bias > 0 and abs(lines["The ReLU lets it pass"] - products - bias) < 2e-4
    cells = lenet.locator(".ln-numbers").nth(1).locator("td").all_inner_texts()
    shown = [float(text.replace("\N{MINUS SIGN}", "-")) for text in cells]
    assert np.allclose(shown, weights[0][:, :, 0, 18].ravel(), atol=0.0051)


def test_the_keyboard_reaches_a_pixel_too(lenet, page, weights):
    strokes = page.evaluate("course.lenetStrokes[4]")
    lenet.get_by_role("button", name="Drawing of a 4").click()
    reading(lenet, page)
    lenet.locator(".ln-channels-1 .ln-channel").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    chosen = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert chosen.startswith("Feature map 3 of the first convolution")
    for _ in range(30):
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    caption = lenet.locator("figcaption").all_inner_texts()[-1]
    assert caption == "feature map 3, row 2, column 1"
    products, bias = first_conv(strokes, weights, 2, 1, 0)
    assert abs(sum_shown(lenet)["Together"] - products - bias) < 2e-4
    assert lenet.locator(".ln-padding").count() == 4


def test_second_convolution_and_pooling(lenet, page):
    lenet.get_by_role("button", name="Drawing of a 6").click()
    reading(lenet, page)
    run = page.evaluate("""() => {
      const run = document.querySelector('#explorer-lenet').lenet.run();
      return {conv: Array.from(run.conv2), pool: Array.from(run.pool2)};
    }""")
    conv = np.array(run["conv"]).reshape(14, 14, 64)
    pool = np.array(run["pool"]).reshape(7, 7, 64)
    lenet.get_by_text("Convolution 2", exact=True).click()
    caption = lenet.locator("figcaption").all_inner_texts()[-1]
    channel, row, column = (int(n) - 1 for n in re.findall(r"\d+", caption))
    assert conv[row, column, channel] == conv[..., channel].max()
    lines = sum_shown(lenet)
    assert abs(lines["The ReLU lets it pass"] - conv[row, column, channel]) < 1e-4
    parts = [lines[name] for name in
             ("Sum of the 16 products", "The 31 other input maps", "Bias of this kernel")]
    assert abs(sum(parts) - lines["Together"]) < 2e-4
    # Another input map: another part, the same whole.
    slider = lenet.get_by_role("slider", name="Input map")
    slider.focus()
    page.keyboard.press("ArrowLeft" if slider.input_value() != "1" else "ArrowRight")
    assert sum_shown(lenet)["Sum of the 16 products"] != parts[0]
    assert sum_shown(lenet)["Together"] == lines["Together"]

    lenet.get_by_text("Pooling 2", exact=True).click()
    four = [float(text) for text in lenet.locator(".ln-equation-pool td").all_inner_texts()]
    assert abs(max(four) - pool[..., channel].max()) < 1e-4
    assert sum_shown(lenet)["The largest of the four"] == max(four)
    assert float(lenet.locator(".ln-winner").inner_text()) == max(four)


DAMAGE = [
    (lambda text: re.sub(r'(levels: "......)(.)',
                         lambda m: m[1] + ("B" if m[2] == "A" else "A"), text), "the digest is"),
    (lambda text: "", "holds no weights"),
    (lambda text: text.replace("format: 1", "format: 2"), "format 2"),
    (lambda text: text.replace('floats: "', 'floats: "\\u00e9\\u00e9\\u00e9\\u00e9'), "base64"),
    (lambda text: text.replace('floats: "', 'floats: "AAAA'), "wrong length"),
]


def test_a_damaged_file_runs_nothing(lenet, page):
    text = WEIGHTS.read_text(encoding="ascii")
    bodies = [spoil(text) for spoil, _ in DAMAGE]
    assert text not in bodies
    bodies.append(text)
    page.route(FILE, lambda route: route.fulfill(
        body=bodies.pop(0), content_type="text/javascript"))
    lenet.get_by_role("button", name="Drawing of a 3").click()
    message = lenet.locator(".x-message")
    for _, words in DAMAGE:
        message.filter(has_text=words).wait_for()
        assert "weights cannot be used" in message.inner_text()
        assert lenet.locator(".ln-answer").inner_text() == "?"
        lenet.get_by_role("button", name="Fetch the weights again").click()
    assert reading(lenet, page) == "3"
    assert not message.is_visible()


def test_a_file_that_does_not_arrive(lenet, page, problems):
    page.route(FILE, lambda route: route.abort())
    lenet.get_by_role("button", name="Drawing of a 3").click()
    message = lenet.locator(".x-message")
    message.wait_for()
    assert "did not arrive" in message.inner_text()
    assert problems
    problems.clear()


def test_reads_97_of_100_real_test_digits(lenet, page, real_set, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_HOME", str(real_set("mnist")))
    dataset = mnist(n_train=1, n_valid=1, n_test=100)
    dataset.load_data()
    images = dataset.X_test.reshape(100, 784)
    shown = page.evaluate("""async text => {
      const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)), shown = [];
      const explorer = document.querySelector("#explorer-lenet");
      for (let at = 0; at < bytes.length; at += 784) {
        await explorer.lenet.show(Array.from(bytes.subarray(at, at + 784), b => b / 255));
        shown.push(explorer.querySelector(".ln-answer").textContent);
      }
      return shown;
    }""", base64.b64encode(images.tobytes()).decode())
    assert sum(a == str(b) for a, b in zip(shown, dataset.Y_test, strict=True)) >= 97


def test_axe_finds_nothing_where_a_pooled_pixel_is_taken_apart(lenet, page, theme):
    """The other stages: see test_explorers.py."""
    theme(page, "dark")
    lenet.get_by_role("button", name="Drawing of a 9").click()
    reading(lenet, page)
    lenet.get_by_text("Pooling 1", exact=True).click()
    page.evaluate(CALM)
    # Preloading, axe would look for imported style sheets beside the page, where none are.
    found = Axe().run(page, context="#explorer-lenet", options={"preload": False})
    assert found.violations_count == 0, found.generate_report()
