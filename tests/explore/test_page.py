"""The page: its arithmetic in V8 against Keras, and the page itself in a browser where there is one."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from explore.directions import directions, rescoring
from explore.directions.directions import Directions
from explore.directions.rescoring import Rescoring
from explore.page import build
from explore.page.__main__ import main
from explore.page.layers import describe
from tests.command import Command
from tests.explore.by_the_page import apart, drawn, engine
from tests.training.every_preset import WITH_A_GENERATOR_OF_THEIR_OWN, uneven_generator
from training import config as configs
from training import draw
from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.presets import PRESETS

page = Command(main)
SHAPE = (8, 8, 1)


@pytest.mark.parametrize(("shape", "conditions"), [((8, 8, 1), 0), ((16, 16, 3), 2)])
@pytest.mark.parametrize("preset", WITH_A_GENERATOR_OF_THEIR_OWN)
def test_the_pixels_are_within_two_of_those_of_keras(preset, shape, conditions):
    count = 256 if shape == SHAPE else 32
    generator = uneven_generator(preset, shape, conditions)
    random = np.random.default_rng(1)
    values = {"z": random.standard_normal((count, generator.inputs[0].shape[-1])).astype(np.float32)}
    if conditions:
        values["labels"] = np.where(random.random((count, conditions)) < 0.5, -1, 1).astype(np.float32)
    expected = np.asarray(generator(values if conditions else values["z"], training=False))
    assert apart(drawn(describe(generator), values), expected) < 2
    assert expected.std() > 1e-3


def test_every_half_is_read_exactly():
    numbers = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    finite = np.isfinite(numbers)
    result = np.array(json.loads(engine().eval("JSON.stringify(Array.from(halves()).map(Number))")), np.float64)
    np.testing.assert_array_equal(result[finite], numbers[finite])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run with directions, samples, losses and scores; none of its labels is exclusive."""
    folder = tmp_path_factory.mktemp("page") / "run"
    (folder / "samples").mkdir(parents=True)
    generator = uneven_generator("lite", SHAPE, 2)
    generator.save(folder / "generator.keras")
    method = replace(PRESETS["lite"], width=0.25)
    config = Config("lite", method, 0, "train", 640, "abc", SHAPE, cache=True, condition="Male,Smiling")
    configs.save(folder, config, {"processor": "a <fast> one"})
    labels.save(
        folder,
        LabelFrequencies(("Male", "Smiling"), np.float32([[-1, -1], [1, 1]]), np.array([3, 1], np.int64)),
    )
    vectors = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    digest = draw.digest(folder / "generator.keras")
    names, is_calibrated = ("Young", "Blurry", "Bald"), np.array([True, False, True])
    result = Directions(names, vectors, np.float32([0.9, 0.6, 0.8]), is_calibrated, digest)
    directions.save(folder, result)
    rescoring.write_csv(folder, result, Rescoring(np.diag([0.5, 0.95, 0.9]), np.ones(3)))
    history = ["epoch,images_seen,d_loss,g_loss,seconds"]
    for epoch in range(1, 21):
        history.append(f"{epoch},{640 * epoch},{1 / epoch},{2 / epoch},1.0")
        draw.write_png(folder / f"samples/epoch-{epoch:05d}.png", np.full((64, 64, 1), 10 * epoch, np.uint8))
    (folder / "history.csv").write_text("\n".join(history))
    (folder / "metrics.csv").write_text("kimg,frechet,frechet_held_out,kid\n1,8,7,0.5\n2,7,6,0.5\n3,6,5,\n")
    scores = {"train": {"swd": 7.5, "frechet": 2.25}, "floor": {"swd": 7.0, "frechet": 0.9}}
    evaluation = {"generator": digest, "features": {"name": "judge", "digest": "0"}, "scores": scores}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


@pytest.fixture(scope="module")
def written(run):
    out, pairs = run.parent / "faces.html", run.parent / "copies.png"
    draw.write_png(pairs, np.full((8, 32, 1), 200, np.uint8))
    return out, page.succeeds("--run", run, "--out", out, "--title", "Faces & <friends>", "--neighbours", pairs)


def data_in(text):
    [content] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(content)


def test_one_file_asks_nobody_for_anything(written):
    out, output = written
    text = out.read_text(encoding="utf-8")
    assert "Open it in a browser" in output
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)|@import|url\(|fetch\(|XMLHttpRequest|importScripts""", text)
    assert "{{" not in text
    assert "<title>Faces &amp; &lt;friends&gt;</title>" in text


def test_the_page_holds_the_report_of_the_run(written):
    data = data_in(written[0].read_text(encoding="utf-8"))
    assert (data["shape"], data["latent"], data["distribution"]) == ([8, 8, 1], 64, "normal")
    assert (data["conditions"], data["combinations"][0]) == (["Male", "Smiling"], {"labels": [-1, -1], "photos": 3})
    assert (data["exclusive"], data["truncation"]) == ([], 1)
    assert [entry["name"] for entry in data["directions"]] == ["Bald", "Young", "Blurry"], "calibrated, then changed"
    assert [entry["calibrated"] for entry in data["directions"]] == [True, True, False]
    report = data["report"]
    losses, frechet, kid = report["charts"]
    assert (losses["of"], losses["names"], losses["rows"][3]) == ("losses", ["D", "G"], [4, 0.25, 0.5])
    assert (frechet["of"], frechet["names"]) == ("frechet", ["train", "held_out"])
    assert frechet["rows"] == [[1, 8, 7], [2, 7, 6], [3, 6, 5]]
    assert (kid["names"], kid["rows"][0]) == (["train"], [1, 0.5])
    epochs = [entry["epoch"] for entry in report["samples"]]
    assert (len(epochs), epochs[0], epochs[-1]) == (12, 1, 20)
    assert (report["space"], report["scores"]["train"]["frechet"]) == ("judge", 2.25)
    assert ["photos_per_second (wall clock)", "640"] in report["settings"]
    assert ["frechet", "lower"] in report["metrics"]
    assert ["processor", "a <fast> one"] in report["settings"]


def test_what_the_data_holds_cannot_end_its_element():
    text = build.page("a", {"name": "</script><script>alert(1)"})
    assert data_in(text) == {"name": "</script><script>alert(1)", "title": "a"}


def test_a_run_that_is_still_going_shows_what_there_is(run, tmp_path):
    for name in ("generator.keras", "config.json", "labels.json"):
        shutil.copy(run / name, tmp_path)
    output = page.succeeds("--run", tmp_path, "--out", tmp_path / "faces.html")
    assert f"python -m explore.directions --run {tmp_path}" in output
    data = data_in((tmp_path / "faces.html").read_text(encoding="utf-8"))
    assert data["title"] is None
    assert (data["directions"], data["report"]["charts"], data["report"]["samples"]) == ([], [], [])
    assert data["report"]["photos"] is None, "real photos are there only where they were asked for"


def test_scores_of_an_earlier_generator_are_left_out_and_its_directions_warned_of(run, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    generator = uneven_generator("lite", SHAPE, 2)
    generator.trainable_variables[0].assign_add(np.ones(generator.trainable_variables[0].shape, np.float32))
    generator.save(other / "generator.keras")
    output = page.succeeds("--run", other, "--out", tmp_path / "faces.html")
    assert "were found for an earlier state of its generator" in output
    assert data_in((tmp_path / "faces.html").read_text(encoding="utf-8"))["report"]["scores"] == {}


@pytest.mark.parametrize("content", ["", "[]", "epoch,d_loss\nx,y\n", '{"scores": NaN}'])
def test_damaged_records_are_left_out(run, tmp_path, content):
    shutil.copytree(run, tmp_path / "run")
    for name in ("evaluation.json", "history.csv", "metrics.csv", "directions.csv"):
        (tmp_path / "run" / name).write_text(content)
    page.succeeds("--run", tmp_path / "run", "--out", tmp_path / "faces.html")
    data = data_in((tmp_path / "faces.html").read_text(encoding="utf-8"))
    assert (len(data["directions"]), data["report"]["scores"], data["report"]["charts"]) == (3, {}, [])


def test_what_is_wrong_is_one_message(run, tmp_path):
    assert "is not a run" in page.is_refused("--run", tmp_path, "--out", tmp_path / "faces.html")
    assert "is not a folder" in page.is_refused("--run", run, "--out", tmp_path / "none/faces.html")
    asked = ("--run", run, "--out", tmp_path / "faces.html", "--neighbours")
    assert "config.json cannot be read as a picture" in page.is_refused(*asked, run / "config.json")
    assert "does not exist" in page.is_refused(*asked, tmp_path / "copies.png")
    cut = tmp_path / "cut.png"
    draw.write_png(cut, np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8))
    cut.write_bytes(cut.read_bytes()[:400])
    assert "cut.png cannot be read as a picture" in page.is_refused(*asked, cut)
    import keras

    z = keras.Input((64,), name="z")
    other = keras.Model(z, keras.layers.Reshape(SHAPE)(keras.layers.ELU()(keras.layers.Dense(64)(z))))
    for name in ("config.json", "labels.json"):
        shutil.copy(run / name, tmp_path)
    other.save(tmp_path / "generator.keras")
    assert "A layer of the kind ELU is not known" in page.is_refused(
        "--run", tmp_path, "--out", tmp_path / "faces.html"
    )
    assert not (tmp_path / "faces.html").exists()


def test_a_picture_that_is_too_wide_for_its_format_is_made_smaller(run, tmp_path):
    draw.write_png(tmp_path / "wide.png", np.full((4, 20_000, 1), 200, np.uint8))
    page.succeeds("--run", run, "--out", tmp_path / "faces.html", "--neighbours", tmp_path / "wide.png")
    picture = data_in((tmp_path / "faces.html").read_text(encoding="utf-8"))["report"]["photos"]
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as shown:
        assert shown.size == (4096, 1)


# In a browser: Debian's chromium and chromium-driver.


@pytest.fixture(scope="module", params=["en-US", "ko-KR"])
def browser(request):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromium-driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=400,800"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"intl.accept_languages": request.param})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def opened(driver, out, fragment=""):
    driver.get("about:blank")
    driver.get(f"file://{out}{fragment}")
    WebDriverWait(driver, 60).until(lambda page: page.execute_script("return document.body.dataset.ready"))


PIXELS = """
const canvas = document.getElementById("face"), [width, height] = [canvas.width, canvas.height];
return Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data).filter((_, i) => i % 4 === 0);
"""


# Until the chosen face is drawn as it was asked for last.
DRAWN = "const done = arguments[0], wait = () => isDrawing ? setTimeout(wait, 20) : done(); wait();"


def test_a_browser_draws_the_wall_without_errors_in_its_log(browser, written):
    opened(browser, written[0])
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('#wall canvas')].map(canvas => canvas.toDataURL())"
    )
    assert (len(drawn), len(set(drawn))) == (24, 24)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "nothing sticks out on a phone"
    language = browser.execute_script("return document.documentElement.lang")
    heading = browser.execute_script("return document.getElementById('wall-title').textContent")
    assert (language, heading) in {("en", "Faces"), ("ko", "얼굴")}
    assert browser.title == "Faces & <friends>"
    empty = browser.execute_script("return [...document.querySelectorAll('[data-text]')].filter(e => !e.textContent)")
    assert empty == []


def test_the_face_is_that_of_keras_and_a_link_brings_it_back(browser, written, run):
    opened(browser, written[0], "#face=7&Bald=1.5&is:Male=1&is:Smiling=-1")
    pixels = np.array(browser.execute_script(PIXELS), int).reshape(8, 8)
    z = np.array(browser.execute_script("return Array.from(edited(zOf(7)))"), np.float32)
    asked = np.array(browser.execute_script("return labelsOf(7)"), np.float32)
    assert asked.tolist() == [1, -1]
    expected = draw.render(draw.load(run / "generator.keras"), z[None], asked[None])[0, ..., 0]
    assert np.abs(pixels - expected).max() <= 2
    plain = np.array(browser.execute_script("return Array.from(zOf(7))"), np.float32)
    by_python = directions.load(run).edit(plain[None], {"Bald": 1.5}, "normal")[0]
    np.testing.assert_allclose(z, by_python, atol=1e-4)
    link = browser.execute_script("return document.getElementById('link').href")
    opened(browser, written[0], "#" + link.partition("#")[2])
    assert np.array_equal(np.array(browser.execute_script(PIXELS), int).reshape(8, 8), pixels)


def test_sliders_and_switches_change_the_face_and_a_second_one_can_be_walked_to(browser, written):
    opened(browser, written[0])
    before = browser.execute_script(PIXELS)
    browser.find_element(By.CSS_SELECTOR, "#sliders input").send_keys(*[Keys.ARROW_RIGHT] * 20)
    WebDriverWait(browser, 20).until(lambda page: page.execute_script(PIXELS) != before)
    browser.find_element(By.ID, "reset").click()
    WebDriverWait(browser, 20).until(lambda page: page.execute_script(PIXELS) == before)
    Select(browser.find_element(By.CSS_SELECTOR, "#labels select")).select_by_index(1)
    link = browser.find_element(By.ID, "link")
    WebDriverWait(browser, 20).until(lambda page: "is%3AMale=1" in link.get_attribute("href"))
    play = browser.find_element(By.ID, "play")
    assert not play.is_enabled()
    browser.find_element(By.ID, "choose").click()
    browser.find_elements(By.CSS_SELECTOR, "#wall button")[4].send_keys(Keys.ENTER)
    WebDriverWait(browser, 20).until(lambda page: play.is_enabled())
    WebDriverWait(browser, 20).until(lambda page: "to=5" in link.get_attribute("href"))
    browser.execute_async_script(DRAWN)
    before = browser.execute_script(PIXELS)
    play.click()
    WebDriverWait(browser, 20, poll_frequency=0.02).until(lambda page: page.execute_script(PIXELS) != before)
    WebDriverWait(browser, 60).until(lambda page: play.is_enabled())
    assert browser.execute_script(PIXELS) == before, "a walk goes there and back"


def test_one_control_chooses_among_labels_that_exclude_each_other(browser, run, tmp_path):
    other = shutil.copytree(run, tmp_path / "run")
    names = ("Male", "Smiling")
    labels.save(other, LabelFrequencies(names, np.float32([[-1, 1], [1, -1]]), np.array([3, 1]), names))
    page.succeeds("--run", other, "--out", tmp_path / "faces.html", "--truncation", 0.7)
    opened(browser, tmp_path / "faces.html", "#is:Male=1&is:Smiling=1")
    assert browser.execute_script("return [labelsOf(7), state.psi]") == [[1, -1], 0.7]
    [select] = map(Select, browser.find_elements(By.CSS_SELECTOR, "#labels select"))
    assert (select.options.index(select.first_selected_option), len(select.options)) == (1, 3)
    select.select_by_index(2)
    assert browser.execute_script("return labelsOf(7)") == [-1, 1]
    assert "is%3ASmiling=1" in browser.find_element(By.ID, "link").get_attribute("href")
    select.select_by_index(0)
    assert browser.execute_script("return state.answers") == {}


def test_the_wall_begins_at_any_face_and_goes_on_from_there(browser, written):
    def wall():
        return [button.get_attribute("data-face") for button in browser.find_elements(By.CSS_SELECTOR, "#wall button")]

    opened(browser, written[0])
    first = browser.find_element(By.ID, "first")
    first.send_keys(Keys.CONTROL + "a", Keys.NULL, "100", Keys.ENTER)
    assert wall() == [str(face) for face in range(100, 124)]
    browser.find_element(By.ID, "more").click()
    assert (wall()[0], first.get_attribute("value")) == ("124", "124")
    assert "wall=124" in browser.find_element(By.ID, "link").get_attribute("href")


def test_arrow_keys_show_the_figures_of_a_curve(browser, written):
    opened(browser, written[0])
    charts = browser.find_elements(By.CSS_SELECTOR, "#curves svg")
    assert len(charts) == 3
    charts[1].send_keys(Keys.ARROW_RIGHT)
    status = browser.find_elements(By.CSS_SELECTOR, "#curves [role=status]")
    assert status[1].text.startswith("2: ")
    assert status[1].text.endswith("6")
    assert " 7, " in status[1].text
    assert "judge" in browser.find_element(By.CSS_SELECTOR, "#tables summary").text


def test_real_photos_are_shown_when_the_reader_asks(browser, written, run, tmp_path):
    opened(browser, written[0])
    picture = browser.find_element(By.CSS_SELECTOR, "#photos img")
    assert not picture.is_displayed()
    browser.find_element(By.CSS_SELECTOR, "#photos summary").click()
    assert picture.is_displayed()
    assert browser.execute_script("return arguments[0].naturalWidth", picture) == 32
    assert browser.find_element(By.CSS_SELECTOR, "#photos p").text.endswith(("publish this page.", "마세요."))
    page.succeeds("--run", run, "--out", tmp_path / "faces.html")
    opened(browser, tmp_path / "faces.html")
    assert browser.find_elements(By.CSS_SELECTOR, "#photos img") == []
    assert browser.find_element(By.CSS_SELECTOR, "#photos p").text.endswith(("be on this page.", "않습니다."))


def test_the_page_opens_with_the_face_that_it_was_made_for_and_a_link_with_its_own(browser, run, tmp_path):
    page.succeeds("--run", run, "--out", tmp_path / "faces.html", "--face", 4)
    for fragment, face in (("", 4), ("#face=7", 7)):
        opened(browser, tmp_path / "faces.html", fragment)
        assert browser.execute_script("return state.chosen") == face
