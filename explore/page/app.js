// The page: a wall of faces, one to edit, a walk between two, and the report of the run.
"use strict";
const $ = (id) => document.getElementById(id);
const DATA = JSON.parse($("data").textContent);
const LANGUAGE = (navigator.language || "en").startsWith("ko") ? "ko" : "en";
const TEXT = JSON.parse($("texts").textContent)[LANGUAGE];
document.documentElement.lang = LANGUAGE;
if (!DATA.title) document.title = $("title").textContent = TEXT.title;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = TEXT[element.dataset.text];

const [HEIGHT, WIDTH, CHANNELS] = DATA.shape;
const IS_UNIFORM = DATA.distribution === "uniform";
const FACES = 24; // on the wall
const FRAMES = 48; // of a walk there and back, at FPS when it is saved
const FPS = 24;
const MAX_STRENGTH = 4;
const state = { first: 1, chosen: DATA.face, second: null, psi: DATA.truncation, strengths: {}, answers: {} };

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const nameOf = (name) => (Object.hasOwn(TEXT.names, name) ? TEXT.names[name] : name.replace(/_/g, " "));
const figure = (value) => (Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : "");
const faceNumber = (value) => clamp(Math.round(Number(value)) || 1, 1, 1e9);

/** Returns a new HTML element with these properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Latents and labels of a face.

/** Returns a generator of random numbers in [0, 1), mulberry32: the same on every machine. */
function randomsOf(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Returns the z of a face; normal numbers by Box and Muller. */
function zOf(face) {
  const random = randomsOf(face * 2654435761);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const draw = IS_UNIFORM ? () => 2 * random() - 1 : normal;
  return Float32Array.from({ length: DATA.latent }, () => state.psi * Math.fround(draw()));
}

const lengthOf = (z) => Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));

/** Returns z moved along the directions of the sliders, as Directions.edit does. */
function edited(z) {
  const moved = Float32Array.from(z);
  const unit = IS_UNIFORM ? 1 / Math.sqrt(3) : 1;
  for (const { name, vector } of DATA.directions) {
    const strength = (state.strengths[name] || 0) * unit;
    if (strength) vector.forEach((value, i) => (moved[i] += strength * value));
  }
  if (IS_UNIFORM) return moved.map((value) => clamp(value, -1, 1));
  const scale = lengthOf(z) / Math.max(lengthOf(moved), 1e-12);
  return moved.map((value) => value * scale);
}

/** Returns the z at a share of the way from a to b: along a sphere, uniform ones along a line. */
function between(a, b, share) {
  const product = a.reduce((sum, value, i) => sum + value * b[i], 0);
  const angle = Math.acos(clamp(product / Math.max(lengthOf(a) * lengthOf(b), 1e-12), -1, 1));
  const sine = Math.sin(angle);
  if (IS_UNIFORM || sine < 1e-6) return a.map((value, i) => value + share * (b[i] - value));
  return a.map((value, i) => (Math.sin((1 - share) * angle) * value + Math.sin(share * angle) * b[i]) / sine);
}

/** Returns the labels of a face: drawn as often as the photos have them together, but for those that are set. */
function labelsOf(face) {
  if (!DATA.conditions.length) return [];
  const isAsked = (label, i) => label === (state.answers[DATA.conditions[i]] ?? label);
  const fitting = DATA.combinations.filter(({ labels }) => labels.every(isAsked));
  const pool = fitting.length ? fitting : DATA.combinations;
  let rest = randomsOf(face + 77777)() * pool.reduce((sum, { photos }) => sum + photos, 0);
  const { labels } = pool.find(({ photos }) => (rest -= photos) < 0) || pool.at(-1);
  return labels.map((label, i) => state.answers[DATA.conditions[i]] ?? label);
}

// Drawing. The network runs in a worker, so that the page stays quick; where a browser allows none, on this thread.

const ENGINE = $("engine").textContent;
const WORKER = `${ENGINE}
let generate;
onmessage = ({ data }) => {
  if (data.layers) generate = generatorOf(data.layers);
  else postMessage({ id: data.id, values: generate(data) });
};`;
const pending = new Map();
let requests = 0;
let worker = null;
let generateHere = null;

async function draw(z, labels) {
  if (!worker) return (generateHere ??= generatorOf(DATA.layers))({ z, labels });
  return new Promise((resolve) => {
    pending.set(++requests, { z, labels, resolve });
    worker.postMessage({ id: requests, z, labels });
  });
}
try {
  worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" })));
  worker.onmessage = ({ data: { id, values } }) => {
    pending.get(id).resolve(values);
    pending.delete(id);
  };
  worker.onerror = () => {
    worker = null;
    for (const { z, labels, resolve } of pending.values()) resolve(draw(z, labels));
    pending.clear();
  };
  worker.postMessage({ layers: DATA.layers });
} catch {
  worker = null;
}

function show(canvas, values) {
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const image = new ImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * values[i * CHANNELS + (CHANNELS === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function complain(error) {
  console.error(error);
  $("title").textContent = `${TEXT.error}: ${error}`;
}

let wallTurn = 0;
async function drawWall() {
  const turn = ++wallTurn;
  const began = performance.now();
  [...$("wall").children].forEach((button, i) => {
    button.dataset.face = state.first + i;
    button.ariaLabel = `${TEXT.face} ${state.first + i}`;
  });
  mark();
  for (const button of $("wall").children) {
    const face = Number(button.dataset.face);
    const values = await draw(zOf(face), labelsOf(face));
    if (turn !== wallTurn) return;
    show(button.firstChild, values);
  }
  document.body.dataset.ready = (performance.now() - began).toFixed(0);
}

/** Marks the chosen faces on the wall. */
function mark() {
  for (const button of $("wall").children) {
    const face = Number(button.dataset.face);
    button.ariaPressed = face === state.chosen;
    button.classList.toggle("second", face === state.second);
  }
  $("play").disabled = $("film").disabled = state.second === null;
}

// One face at a time: what a slider asks for meanwhile is drawn after it.
let faceTurn = 0;
let isDrawing = false;
async function drawFace() {
  faceTurn++;
  remember();
  if (isDrawing) return;
  isDrawing = true;
  try {
    let turn;
    do {
      turn = faceTurn;
      $("face").ariaLabel = `${TEXT.face} ${state.chosen}`;
      show($("face"), await draw(edited(zOf(state.chosen)), labelsOf(state.chosen)));
    } while (turn !== faceTurn);
  } finally {
    isDrawing = false;
  }
}

const redrawFace = () => drawFace().catch(complain);
const redraw = () => Promise.all([drawFace(), drawWall()]).catch(complain);

// The link: all that is chosen, in the fragment of the address.

function remember() {
  const parts = [["face", state.chosen]];
  if (state.first !== 1) parts.push(["wall", state.first]);
  if (state.second !== null) parts.push(["to", state.second]);
  if (state.psi !== DATA.truncation) parts.push(["variety", state.psi]);
  for (const [name, value] of Object.entries(state.strengths)) if (value) parts.push([name, value]);
  for (const [name, value] of Object.entries(state.answers)) parts.push([`is:${name}`, value]);
  const fragment = "#" + new URLSearchParams(parts);
  $("link").href = fragment;
  try {
    history.replaceState(null, "", fragment);
  } catch {
    // some browsers refuse it for files
  }
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name, otherwise) => {
    const value = parseFloat(parts.get(name));
    return Number.isFinite(value) ? value : otherwise;
  };
  state.chosen = number("face", DATA.face);
  state.first = faceNumber(parts.get("wall"));
  state.second = number("to", null);
  state.psi = clamp(number("variety", DATA.truncation), 0, 1);
  state.strengths = {};
  for (const { name } of DATA.directions) {
    if (parts.has(name)) state.strengths[name] = clamp(number(name, 0), -MAX_STRENGTH, MAX_STRENGTH);
  }
  state.answers = {};
  for (const name of DATA.conditions) {
    if (parts.has(`is:${name}`)) state.answers[name] = number(`is:${name}`, 1) < 0 ? -1 : 1;
  }
  setClass(classIndex()); // a link may contradict itself
}

// The walk from the chosen face to the second one and back.

async function walk(afterEach) {
  const turn = ++faceTurn; // whatever else asks for the face ends the walk
  const [a, b] = [edited(zOf(state.chosen)), edited(zOf(state.second))];
  const labels = labelsOf(state.chosen);
  for (let frame = 0; frame < FRAMES; frame++) {
    const share = (1 - Math.cos((2 * Math.PI * frame) / FRAMES)) / 2;
    const values = await draw(between(a, b, share), labels);
    if (turn !== faceTurn) return;
    show($("face"), values);
    await new Promise(afterEach);
  }
  await drawFace();
}

async function film() {
  const recorder = new MediaRecorder($("face").captureStream(FPS));
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const suffix = recorder.mimeType.includes("mp4") ? "mp4" : "webm";
  recorder.onstop = () => save(new Blob(parts, { type: recorder.mimeType }), `walk.${suffix}`);
  recorder.start();
  try {
    await walk((resolve) => setTimeout(resolve, 1000 / FPS));
  } finally {
    recorder.stop();
  }
}

function save(blob, name) {
  const href = URL.createObjectURL(blob);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

// Controls.

function faceButton() {
  const button = make("button", {}, make("canvas"));
  button.onclick = () => {
    state[$("choose").checked ? "second" : "chosen"] = Number(button.dataset.face);
    $("choose").checked = false;
    mark();
    redrawFace();
  };
  return button;
}

function slider({ name, calibrated }) {
  const output = make("output");
  const input = make("input", { type: "range", min: -MAX_STRENGTH, max: MAX_STRENGTH, step: 0.1 });
  input.dataset.name = name;
  input.oninput = () => {
    state.strengths[name] = Number(input.value);
    output.textContent = input.value;
    redrawFace();
  };
  return make("label", { title: calibrated ? "" : TEXT.uncalibrated }, nameOf(name), output, input);
}

function labelSelect(name) {
  const options = [new Option(TEXT.any, ""), new Option(TEXT.yes, 1), new Option(TEXT.no, -1)];
  const select = make("select", {}, ...options);
  select.dataset.name = name;
  select.onchange = () => {
    if (select.value) state.answers[name] = Number(select.value);
    else delete state.answers[name];
    redraw();
  };
  return make("label", {}, nameOf(name), " ", select);
}

/** Returns a choice of one of the attributes of which a face has one. */
function classSelect() {
  const options = DATA.exclusive.map((name, i) => new Option(nameOf(name), i));
  if (DATA.may_have_none) options.push(new Option(TEXT.none, -1));
  const select = make("select", { id: "class" }, new Option(TEXT.any, ""), ...options);
  select.onchange = () => {
    setClass(select.value);
    redraw();
  };
  return make("label", {}, TEXT.class, " ", select);
}

/** Sets the answers of exclusive attributes: that at an index, text, holds; at -1 none; without text any may. */
function setClass(index) {
  DATA.exclusive.forEach((name, i) => {
    if (index === "") delete state.answers[name];
    else state.answers[name] = i === Number(index) ? 1 : -1;
  });
}

/** Returns the index of the one that was asked for, as `setClass` takes it. */
function classIndex() {
  const answers = DATA.exclusive.map((name) => state.answers[name]);
  return answers.includes(1) || (DATA.may_have_none && answers.includes(-1)) ? String(answers.indexOf(1)) : "";
}

/** Sets all controls to what is chosen. */
function update() {
  $("first").value = state.first;
  $("psi").value = state.psi;
  document.querySelector("output[for=psi]").textContent = ` ${state.psi}`;
  for (const input of $("sliders").querySelectorAll("input")) {
    input.value = state.strengths[input.dataset.name] || 0;
    input.previousSibling.textContent = input.value;
  }
  for (const select of $("labels").querySelectorAll("select")) {
    select.value = select.id === "class" ? classIndex() : (state.answers[select.dataset.name] ?? "");
  }
  mark();
}

function turnTo(face) {
  state.first = faceNumber(face);
  update();
  remember();
  drawWall().catch(complain);
}

/** Runs a walk; no other one can begin meanwhile. */
async function alone(action) {
  $("play").disabled = $("film").disabled = true;
  await action().catch(complain);
  mark();
}

$("wall").append(...Array.from({ length: FACES }, faceButton));
$("sliders").append(...DATA.directions.map(slider));
$("labels").append(...DATA.conditions.filter((name) => !DATA.exclusive.includes(name)).map(labelSelect));
if (DATA.exclusive.length) $("labels").append(classSelect());
$("more").onclick = () => turnTo(state.first + FACES);
$("first").onchange = () => turnTo($("first").value);
$("psi").oninput = () => {
  state.psi = Number($("psi").value);
  update();
  redraw();
};
$("reset").onclick = () => {
  state.strengths = {};
  update();
  redrawFace();
};
$("save").onclick = () => $("face").toBlob((blob) => save(blob, `face-${state.chosen}.png`));
$("play").onclick = () => alone(() => walk(requestAnimationFrame));
$("film").onclick = () => alone(film);
window.onhashchange = () => {
  recall();
  update();
  redraw();
};

// The report.

function makeSvg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/** Draws curves. A line of text above them has the figures below the pointer, or where the arrow keys lead. */
function chart({ of, names, rows }) {
  const title = of === "losses" ? TEXT.losses : `${nameOf(of)} ${TEXT.kimg}`;
  const [width, height, left, margin] = [640, 240, 40, 8];
  const values = rows.flatMap((row) => row.slice(1));
  const low = Math.min(0, ...values); // Wasserstein's may lie below 0
  const top = Math.max(0, ...values, low + 1e-9);
  const x = (i) => left + ((width - left - margin) * i) / (rows.length - 1);
  const y = (value) => margin + ((height - 2 * margin) * (top - value)) / (top - low);
  const viewBox = `0 0 ${width} ${height}`;
  const svg = makeSvg("svg", { viewBox, role: "img", "aria-label": title, tabindex: 0 });
  for (const value of [low, (low + top) / 2, top]) {
    const ends = { x1: left, x2: width - margin, y1: y(value), y2: y(value) };
    svg.append(makeSvg("line", { ...ends, stroke: "var(--line)" }));
    svg.append(makeSvg("text", { x: 0, y: y(value) + 4 }, Number(value.toPrecision(2))));
  }
  const legend = make("p");
  names.forEach((name, column) => {
    const stroke = column ? "var(--mark)" : "var(--other)";
    const points = rows.map((row, i) => `${x(i)},${y(row[column + 1])}`).join(" ");
    svg.append(makeSvg("polyline", { points, fill: "none", stroke, "stroke-width": 2 }));
    legend.append(make("span", { textContent: `― ${nameOf(name)} `, style: `color: ${stroke}` }));
  });
  const line = makeSvg("line", { x1: -1, x2: -1, y1: margin, y2: height - margin, stroke: "currentColor" });
  svg.append(line);
  const status = make("p", { role: "status", textContent: `${title}: ${rows[0][0]} – ${rows.at(-1)[0]}` });
  let index = 0;
  const point = (i) => {
    index = clamp(i, 0, rows.length - 1);
    const [time, ...figures] = rows[index];
    line.setAttribute("x1", x(index));
    line.setAttribute("x2", x(index));
    status.textContent = `${time}: ${figures.map((value, i) => `${nameOf(names[i])} ${figure(value)}`).join(", ")}`;
  };
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * width - left) / (width - left - margin);
    point(Math.round(share * (rows.length - 1)));
  };
  svg.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    point(index + step);
    event.preventDefault();
  };
  $("curves").append(status, svg, legend);
}

function samples(grids) {
  if (!grids.length) return;
  const last = grids.length - 1;
  const input = make("input", { type: "range", min: 0, max: last, value: last });
  const output = make("output");
  const image = new Image();
  input.oninput = () => {
    const { epoch, picture } = grids[input.value];
    Object.assign(image, { src: picture, alt: `${TEXT.samples} ${epoch}` });
    output.textContent = ` ${epoch}`;
  };
  input.oninput();
  $("samples").append(make("label", {}, TEXT.samples, output, " ", input), image);
}

const folded = (title, open, ...content) => make("details", { open }, make("summary", {}, title), ...content);

function photos(src) {
  if (!src) return $("photos").append(make("p", {}, TEXT.hidden));
  const reason = make("p", {}, `${TEXT.pairs} ${TEXT.reason}`);
  $("photos").append(folded(TEXT.photos, false, reason, make("img", { src, alt: TEXT.pairs })));
}

function table(title, head, rows) {
  const made = make("table");
  for (const cells of head.length ? [head, ...rows] : rows) {
    made.append(make("tr", {}, ...cells.map((cell, i) => make(i && cells !== head ? "td" : "th", {}, cell))));
  }
  $("tables").append(folded(title, head.length > 0, made));
}

function report({ charts, samples: grids, photos: picture, scores, metrics, space, settings }) {
  charts.forEach(chart);
  samples(grids);
  photos(picture);
  const columns = Object.keys(scores);
  const rows = [];
  for (const [name, better] of metrics) {
    const figures = columns.map((column) => figure(scores[column][name]));
    if (figures.some(Boolean)) rows.push([nameOf(name), ...figures, TEXT.better[better]]);
  }
  const title = space ? `${TEXT.scores} (${TEXT.space} ${space})` : TEXT.scores;
  if (rows.length) table(title, ["", ...columns.map(nameOf), ""], rows);
  table(TEXT.settings, [], settings);
}

recall();
update();
report(DATA.report);
drawFace().then(drawWall).catch(complain);
