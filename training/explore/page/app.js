// The page: a wall of faces, one to turn, a walk between two, and the report of the run.
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const TEXTS = {
  en: {
    intro: "These faces do not exist. A small neural network that was trained on photos draws them here, in your browser: nothing is sent anywhere.",
    title: "Faces that do not exist", wall: "Faces", more: "New faces", number: "First face", truncation: "Variety", chosen: "The chosen face", save: "Save the face",
    reset: "Reset the sliders", choose: "Choose a second face on the wall", play: "Play the walk between both",
    film: "Save the walk", link: "Link to this face", report: "The training", losses: "Loss by epoch", kimg: "by thousands of photos seen",
    samples: "Samples after epoch", scores: "Scores", settings: "Settings", face: "Face", of: "of",
    better: {lower: "lower is better", higher: "higher is better"},
    labels: "Attributes of the faces", any: "as in the photos", yes: "yes", no: "no", error: "Drawing failed",
    licence: "CelebA (Liu et al. 2015) is for non-commercial research only, and so is what was trained on it.",
    hidden: "Real photos are not shown: the people in them did not agree to be on this page.",
    photos: "Show real photos", pairs: "To the right of each face is the training photo nearest to it.",
    reason: "They are here to check that no face is a copy of a photo. The people in the photos did not agree to be shown: do not publish this page.",
    space: "feature space", uncalibrated: "Not calibrated: the same strength changes fewer faces than elsewhere, or more.",
    names: {
      frechet: "Fréchet distance", kid: "KID", swd: "SWD", floor: "training photos against others of them: the floor", held_out_train: "held-out photos against training photos", train: "faces against training photos", held_out: "faces against held-out photos",
    },
  },
  ko: {
    intro: "실제로 존재하지 않는 얼굴입니다. 사진으로 학습한 작은 신경망이 브라우저 안에서 바로 그리며, 어떤 데이터도 밖으로 보내지 않습니다.",
    title: "존재하지 않는 얼굴", wall: "얼굴", more: "새 얼굴 그리기", number: "첫 얼굴 번호", truncation: "다양성", chosen: "선택한 얼굴", save: "얼굴 저장",
    reset: "슬라이더 초기화", choose: "얼굴 목록에서 두 번째 얼굴 고르기", play: "두 얼굴 사이의 변화 재생", film: "변화 영상 저장",
    link: "이 얼굴의 링크", report: "학습 기록", losses: "에포크별 손실", kimg: "(학습한 사진 수별, 단위: 천 장)", samples: "샘플: 에포크",
    scores: "평가 점수", settings: "설정", face: "얼굴", of: "/",
    better: {lower: "낮을수록 좋음", higher: "높을수록 좋음"},
    labels: "얼굴의 속성", any: "실제 사진의 비율대로", yes: "예", no: "아니요", error: "얼굴을 그리지 못했습니다",
    licence: "CelebA(Liu et al. 2015)는 비상업적 연구에만 쓸 수 있으며, CelebA로 학습한 결과물도 마찬가지입니다.",
    hidden: "사진 속 인물이 이 페이지에 실리는 데 동의하지 않았으므로 실제 사진은 보여 주지 않습니다.",
    photos: "실제 사진 보기", pairs: "각 얼굴의 오른쪽은 그 얼굴과 가장 가까운 학습 사진입니다.",
    reason: "얼굴이 학습 사진을 베낀 것이 아닌지 확인하기 위한 사진입니다. 사진 속 인물이 공개에 동의하지 않았으므로 이 페이지를 공개하지 마세요.",
    space: "특징 공간", uncalibrated: "보정되지 않은 방향: 같은 세기에서 바뀌는 얼굴의 비율이 다른 방향과 다릅니다.",
    names: {
      floor: "학습 사진끼리 비교(하한)", held_out_train: "학습에 쓰지 않은 사진을 학습 사진과 비교", train: "얼굴을 학습 사진과 비교", held_out: "얼굴을 학습에 쓰지 않은 사진과 비교",
      frechet: "프레셰 거리", kid: "KID", swd: "SWD", precision: "정밀도", recall: "재현율", density: "밀도", coverage: "커버리지",
      "5_o_Clock_Shadow": "수염 자국", Arched_Eyebrows: "아치형 눈썹", Attractive: "매력적인 얼굴", Bags_Under_Eyes: "불룩한 눈 밑", Bald: "대머리", Bangs: "앞머리", Big_Lips: "두꺼운 입술", Big_Nose: "큰 코",
      Black_Hair: "검은 머리", Blond_Hair: "금발", Blurry: "흐릿한 사진", Brown_Hair: "갈색 머리", Bushy_Eyebrows: "짙은 눈썹", Chubby: "통통한 얼굴", Double_Chin: "이중 턱", Eyeglasses: "안경", Goatee: "염소수염",
      Gray_Hair: "흰머리", Heavy_Makeup: "짙은 화장", High_Cheekbones: "높은 광대뼈", Male: "남성", Mouth_Slightly_Open: "살짝 벌린 입", Mustache: "콧수염", Narrow_Eyes: "가는 눈", No_Beard: "수염 없음",
      Oval_Face: "갸름한 얼굴", Pale_Skin: "창백한 피부", Pointy_Nose: "뾰족한 코", Receding_Hairline: "벗어진 이마", Rosy_Cheeks: "발그레한 볼", Sideburns: "구레나룻", Smiling: "웃음", Straight_Hair: "생머리",
      Wavy_Hair: "웨이브 머리", Wearing_Earrings: "귀걸이", Wearing_Hat: "모자", Wearing_Lipstick: "립스틱", Wearing_Necklace: "목걸이", Wearing_Necktie: "넥타이", Young: "젊은 얼굴",
    },
  },
};
const TEXT = TEXTS[(navigator.language || "en").startsWith("ko") ? "ko" : "en"];
document.documentElement.lang = TEXT === TEXTS.ko ? "ko" : "en";
if (!DATA.title) document.title = document.getElementById("title").textContent = TEXT.title;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = TEXT[element.dataset.text];

const $ = id => document.getElementById(id);
const nameOf = name => Object.hasOwn(TEXT.names, name) ? TEXT.names[name] : name.replace(/_/g, " ");
const figure = value => Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : "";
const faceNumber = value => Math.max(1, Math.min(1e9, Math.round(Number(value)) || 1));
const [HEIGHT, WIDTH, CHANNELS] = DATA.shape;
const FACES = 24, FRAMES = 48;
const state = {first: 1, chosen: DATA.face, second: null, psi: 1, strengths: {}, answers: {}};

// Random numbers of a face: the same on every machine. mulberry32, and Box and Muller for normal ones.
function randomsOf(seed) {
  let a = seed >>> 0;
  return () => {
    a = a + 0x6d2b79f5 | 0;
    let t = Math.imul(a ^ a >>> 15, 1 | a);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}
function zOf(face) {
  const random = randomsOf(face * 2654435761), z = new Float32Array(DATA.latent);
  for (let i = 0; i < z.length; i++)
    z[i] = DATA.distribution === "uniform" ? 2 * random() - 1
      : Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return z.map(value => value * state.psi);
}
const lengthOf = z => Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));
function edited(z) {
  const out = Float32Array.from(z), before = lengthOf(z);
  const unit = DATA.distribution === "uniform" ? 1 / Math.sqrt(3) : 1;
  for (const {name, vector} of DATA.directions) {
    const strength = (state.strengths[name] || 0) * unit;
    if (strength) for (let i = 0; i < out.length; i++) out[i] += strength * vector[i];
  }
  if (DATA.distribution === "uniform") return out.map(value => Math.max(-1, Math.min(1, value)));
  const scale = before / Math.max(lengthOf(out), 1e-12);
  return out.map(value => value * scale);
}
function between(a, b, share) {
  const lengths = lengthOf(a) * lengthOf(b);
  const cosine = Math.max(-1, Math.min(1, a.reduce((sum, value, i) => sum + value * b[i], 0) / Math.max(lengths, 1e-12)));
  const angle = Math.acos(cosine), sine = Math.sin(angle);
  if (DATA.distribution === "uniform" || sine < 1e-6) return a.map((value, i) => value + share * (b[i] - value));
  return a.map((value, i) => (Math.sin((1 - share) * angle) * value + Math.sin(share * angle) * b[i]) / sine);
}
// Labels as often together as the photos have them, but for what is set.
function labelsOf(face) {
  if (!DATA.conditions.length) return [];
  const fits = DATA.combinations.filter(({labels}) =>
    DATA.conditions.every((name, i) => state.answers[name] === undefined || labels[i] === state.answers[name]));
  const pool = fits.length ? fits : DATA.combinations;
  let place = randomsOf(face + 77777)() * pool.reduce((sum, {photos}) => sum + photos, 0);
  const found = pool.find(({photos}) => (place -= photos) < 0) || pool[pool.length - 1];
  return found.labels.map((label, i) => state.answers[DATA.conditions[i]] ?? label);
}

// The network runs in a worker, so that the page stays quick; where a browser has none, here.
const ENGINE = document.getElementById("engine").textContent;
const waiting = new Map();
let asked = 0, draw;
let here;  // the generator on this thread
const drawHere = async (z, labels) => (here = here || generatorOf(DATA.layers))({z, labels});
try {
  const program = ENGINE + ";let generate;onmessage=({data})=>{if(data.layers){generate=generatorOf(data.layers);return}" +
    "try{postMessage({id:data.id,values:generate(data)})}catch(error){postMessage({id:data.id,error:String(error)})}}";
  const worker = new Worker(URL.createObjectURL(new Blob([program], {type: "text/javascript"})));
  worker.onmessage = ({data}) => { const [done, failed] = waiting.get(data.id); waiting.delete(data.id); data.error ? failed(data.error) : done(data.values); };
  worker.onerror = () => {  // the browser allows none after all
    draw = drawHere;
    for (const [done, failed, z, labels] of waiting.values()) drawHere(z, labels).then(done, failed);
    waiting.clear();
  };
  worker.postMessage({layers: DATA.layers});
  draw = (z, labels) => new Promise((done, failed) => { waiting.set(++asked, [done, failed, z, labels]); worker.postMessage({id: asked, z, labels}); });
} catch (error) {
  draw = drawHere;
}
function show(canvas, values) {
  canvas.width = WIDTH; canvas.height = HEIGHT;
  const context = canvas.getContext("2d"), image = context.createImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * Math.max(0, Math.min(1, values[i * CHANNELS + (CHANNELS === 3 ? c : 0)])));
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
function complain(error) { console.error(error); $("title").textContent = `${TEXT.error}: ${error}`; }

let wallTurn = 0;
async function drawWall() {
  const turn = ++wallTurn, began = performance.now();
  [...$("wall").children].forEach((button, i) => {
    const face = state.first + i;
    button.dataset.face = face;
    button.setAttribute("aria-label", `${TEXT.face} ${face}`);
  });
  marked();
  for (const button of $("wall").children) {
    const face = Number(button.dataset.face);
    const values = await draw(zOf(face), labelsOf(face));
    if (turn !== wallTurn) return;
    show(button.firstChild, values);
  }
  document.body.dataset.ready = (performance.now() - began).toFixed(0);
}
function marked() {
  for (const button of $("wall").children) {
    const face = Number(button.dataset.face);
    button.setAttribute("aria-pressed", face === state.chosen);
    button.classList.toggle("second", face === state.second);
  }
  $("play").disabled = $("film").disabled = state.second === null;
}
// One face at a time: what a slider asks for meanwhile is drawn when that has come back.
let faceTurn = 0, isDrawing = false;
async function drawFace() {
  faceTurn++;
  remember();
  if (isDrawing) return;
  isDrawing = true;
  try {
    let drawn;
    do {
      drawn = faceTurn;
      $("face").setAttribute("aria-label", `${TEXT.face} ${state.chosen}`);
      const values = await draw(edited(zOf(state.chosen)), labelsOf(state.chosen));
      show($("face"), values);
    } while (drawn !== faceTurn);
  } finally { isDrawing = false; }
}
function remember() {
  const parts = [["face", state.chosen]];
  if (state.first !== 1) parts.push(["wall", state.first]);
  if (state.second !== null) parts.push(["to", state.second]);
  if (state.psi !== 1) parts.push(["variety", state.psi]);
  for (const [name, value] of Object.entries(state.strengths)) if (value) parts.push([name, value]);
  for (const [name, value] of Object.entries(state.answers)) parts.push([`is:${name}`, value]);
  const fragment = "#" + new URLSearchParams(parts);
  $("link").href = fragment;
  try { history.replaceState(null, "", fragment); } catch (error) { /* some browsers refuse it for files */ }
}
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name, otherwise) => Number.isFinite(parseFloat(parts.get(name))) ? parseFloat(parts.get(name)) : otherwise;
  state.chosen = number("face", DATA.face);
  state.first = faceNumber(parts.get("wall"));
  state.second = parts.has("to") ? number("to", null) : null;
  state.psi = Math.max(0.3, Math.min(1, number("variety", 1)));
  state.strengths = {}; state.answers = {};
  for (const {name} of DATA.directions) if (parts.has(name)) state.strengths[name] = Math.max(-4, Math.min(4, number(name, 0)));
  for (const name of DATA.conditions) if (parts.has(`is:${name}`)) state.answers[name] = number(`is:${name}`, 1) < 0 ? -1 : 1;
}

async function walk(each) {
  const turn = ++faceTurn;  // whatever else asks for the face ends the walk
  const a = edited(zOf(state.chosen)), b = edited(zOf(state.second)), labels = labelsOf(state.chosen);
  for (let frame = 0; frame < FRAMES; frame++) {
    const share = (1 - Math.cos(2 * Math.PI * frame / FRAMES)) / 2;  // there and back
    const values = await draw(between(a, b, share), labels);
    if (turn !== faceTurn) return;
    show($("face"), values);
    await each();
  }
  await drawFace();
}
const nextFrame = () => new Promise(done => requestAnimationFrame(done));
function saved(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob); link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
async function film() {
  if (typeof MediaRecorder === "undefined" || !$("face").captureStream) {  // all frames side by side
    const strip = document.createElement("canvas"), context = strip.getContext("2d");
    strip.width = WIDTH * FRAMES; strip.height = HEIGHT;
    let at = 0;
    await walk(async () => context.drawImage($("face"), WIDTH * at++, 0));
    strip.toBlob(blob => saved(blob, "walk.png"));
    return;
  }
  const recorder = new MediaRecorder($("face").captureStream(24)), parts = [];
  recorder.ondataavailable = ({data}) => parts.push(data);
  const suffix = recorder.mimeType.includes("mp4") ? "mp4" : "webm";
  recorder.onstop = () => saved(new Blob(parts, {type: recorder.mimeType}), `walk.${suffix}`);
  recorder.start();
  try { await walk(() => new Promise(done => setTimeout(done, 1000 / 24))); } finally { recorder.stop(); }
}

// Controls.
for (let i = 0; i < FACES; i++) {
  const button = document.createElement("button");
  button.append(document.createElement("canvas"));
  button.onclick = () => {
    const face = Number(button.dataset.face);
    if ($("choose").checked) state.second = face; else state.chosen = face;
    $("choose").checked = false;
    marked(); drawFace().catch(complain);
  };
  $("wall").append(button);
}
function slider({name, calibrated}) {
  const label = document.createElement("label"), output = document.createElement("output"), input = document.createElement("input");
  Object.assign(input, {type: "range", min: -4, max: 4, step: 0.1});
  if (!calibrated) label.title = TEXT.uncalibrated;
  input.dataset.name = name;
  input.oninput = () => { state.strengths[name] = Number(input.value); output.textContent = input.value; drawFace().catch(complain); };
  label.append(nameOf(name), output, input);
  $("sliders").append(label);
}
DATA.directions.forEach(slider);
for (const name of DATA.conditions) {
  const label = document.createElement("label"), select = document.createElement("select");
  select.dataset.name = name;
  for (const [text, value] of [[TEXT.any, ""], [TEXT.yes, 1], [TEXT.no, -1]]) select.append(new Option(text, value));
  select.onchange = () => {
    if (select.value) state.answers[name] = Number(select.value); else delete state.answers[name];
    drawFace().catch(complain); drawWall().catch(complain);
  };
  label.append(nameOf(name), " ", select);
  $("labels").append(label);
}
function controls() {
  $("first").value = state.first;
  $("psi").value = state.psi;
  document.querySelector("output[for=psi]").textContent = ` ${state.psi}`;
  for (const input of $("sliders").querySelectorAll("input")) {
    input.value = state.strengths[input.dataset.name] || 0;
    input.previousSibling.textContent = input.value;
  }
  for (const select of $("labels").querySelectorAll("select")) select.value = state.answers[select.dataset.name] ?? "";
  marked();
}
function turnTo(face) { state.first = faceNumber(face); controls(); remember(); drawWall().catch(complain); }
$("more").onclick = () => turnTo(state.first + FACES);
$("first").onchange = () => turnTo($("first").value);
$("psi").oninput = () => { state.psi = Number($("psi").value); controls(); drawFace().catch(complain); drawWall().catch(complain); };
$("reset").onclick = () => { state.strengths = {}; controls(); drawFace().catch(complain); };
$("save").onclick = () => $("face").toBlob(blob => saved(blob, `face-${state.chosen}.png`));
async function alone(action) {
  $("play").disabled = $("film").disabled = true;
  try { await action(); } catch (error) { complain(error); } finally { marked(); }
}
$("play").onclick = () => alone(() => walk(nextFrame));
$("film").onclick = () => alone(film);
window.onhashchange = () => { recall(); controls(); drawFace().catch(complain); drawWall().catch(complain); };

// The report.
const SVG = "http://www.w3.org/2000/svg";
function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function chart({of, names, rows}) {
  const title = of === "losses" ? TEXT.losses : `${nameOf(of)} ${TEXT.kimg}`;
  const width = 640, height = 240, left = 40, bottom = 8;
  const values = rows.flatMap(row => row.slice(1));
  const low = Math.min(0, ...values), top = Math.max(0, ...values, low + 1e-9);  // Wasserstein's may lie below 0
  const x = i => left + (width - left - 8) * i / (rows.length - 1);
  const y = value => 8 + (height - 8 - bottom) * (top - value) / (top - low);
  const svg = element("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, tabindex: 0});
  for (const value of [low, (low + top) / 2, top]) {
    svg.append(element("line", {x1: left, x2: width - 8, y1: y(value), y2: y(value), stroke: "var(--line)"}));
    svg.append(element("text", {x: 0, y: y(value) + 4}, Number(value.toPrecision(2)).toString()));
  }
  const legend = document.createElement("p");
  names.forEach((name, column) => {
    const stroke = column ? "var(--mark)" : "var(--other)";
    const points = rows.map((row, i) => `${x(i)},${y(row[column + 1])}`).join(" ");
    svg.append(element("polyline", {points, fill: "none", stroke, "stroke-width": 2}));
    const entry = document.createElement("span");
    entry.textContent = `― ${nameOf(name)} `;
    entry.style.color = stroke;
    legend.append(entry);
  });
  const line = element("line", {y1: 8, y2: height - bottom, stroke: "currentColor", visibility: "hidden"});
  const told = document.createElement("p");
  told.setAttribute("role", "status");
  told.textContent = `${title}: ${rows[0][0]} – ${rows[rows.length - 1][0]}`;
  let at = 0;
  const point = i => {
    at = Math.max(0, Math.min(rows.length - 1, i));
    const [place, ...figures] = rows[at];
    for (const end of ["x1", "x2"]) line.setAttribute(end, x(at));
    line.setAttribute("visibility", "visible");
    told.textContent = `${place}: ${figures.map((value, i) => `${nameOf(names[i])} ${figure(value)}`).join(", ")}`;
  };
  svg.onpointermove = event => {
    const box = svg.getBoundingClientRect();
    point(Math.round(((event.clientX - box.left) / box.width * width - left) / (width - left - 8) * (rows.length - 1)));
  };
  svg.onkeydown = event => { const step = {ArrowLeft: -1, ArrowRight: 1}[event.key]; if (step) { point(at + step); event.preventDefault(); } };
  svg.append(line);
  $("curves").append(told, svg, legend);
}
function samples() {
  const shown = DATA.report.samples;
  if (!shown.length) return;
  const label = document.createElement("label"), input = document.createElement("input"), output = document.createElement("output"), image = new Image();
  Object.assign(input, {type: "range", min: 0, max: shown.length - 1, value: shown.length - 1});
  const update = () => {
    const {epoch, picture} = shown[input.value];
    image.src = picture; output.textContent = ` ${epoch}`; image.alt = `${TEXT.samples} ${epoch}`;
  };
  input.oninput = update;
  label.append(`${TEXT.samples}`, output, " ", input);
  $("samples").append(label, image);
  update();
}
function photos() {
  const picture = DATA.report.photos, reason = document.createElement("p");
  reason.textContent = picture ? `${TEXT.pairs} ${TEXT.reason}` : TEXT.hidden;
  if (!picture) return $("photos").append(reason);
  const image = new Image();
  image.src = picture; image.alt = TEXT.pairs;
  $("photos").append(folded(TEXT.photos, false, reason, image));
}
function folded(title, open, ...content) {
  const details = document.createElement("details"), summary = document.createElement("summary");
  details.open = open;
  summary.textContent = title;
  details.append(summary, ...content);
  return details;
}
function table(title, head, rows) {
  if (!rows.length) return;
  const made = document.createElement("table");
  for (const cells of head.length ? [head, ...rows] : rows) {
    const row = made.insertRow();
    cells.forEach((cell, i) => { const at = document.createElement(i && cells !== head ? "td" : "th"); at.textContent = cell; row.append(at); });
  }
  $("tables").append(folded(title, head.length > 0, made));
}
function report() {
  DATA.report.charts.forEach(chart); samples(); photos();
  const {scores, settings, space} = DATA.report, columns = Object.keys(scores);
  table(space ? `${TEXT.scores} (${TEXT.space} ${space})` : TEXT.scores, ["", ...columns.map(nameOf), ""], DATA.report.metrics.map(([name, better]) =>
    [nameOf(name), ...columns.map(column => figure(scores[column][name])), TEXT.better[better]]).filter(row => row.slice(1, -1).some(Boolean)));
  table(TEXT.settings, [], settings);
}
recall(); controls(); report();
drawFace().then(drawWall).catch(complain);
