// The page: what is set goes to the server, what comes back is shown as soon as it is there.

import { Curve, scatter } from "./charts.js";
import { Zoom } from "./zoom.js";

const offered = JSON.parse(document.getElementById("offered").textContent);
const $ = (id) => document.getElementById(id);
const NAMES = { original: "Original", neural: "Neural code", deepjscc: "DeepJSCC", digital: "Digital" };
const CODECS = { hevc: "HEVC", jpeg: "JPEG" };
const SENT = ["neural", "deepjscc", "digital"];
const WAIT_MS = 40; // a slider that moves sends no more often
const visitor = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

let photograph = null; // as the server described it
let file = null; // of the visitor, in case the server forgets it
let number = 0;
let running = null;
let timer = null;
let seed = 0;
let curveOf = "";

// Panels

const panels = {};
const zoom = new Zoom($("panels").querySelector(".grid"), (scale) => {
  $("zoom-value").textContent = `${scale < 9.95 ? +scale.toFixed(1) : Math.round(scale)}×`;
  $("zoom-out").disabled = $("zoom-reset").disabled = scale === 1;
});
for (const [key, name] of Object.entries(NAMES)) {
  const root = $("panel").content.firstElementChild.cloneNode(true);
  root.dataset.panel = key;
  root.querySelector("h3").textContent = name;
  const view = root.querySelector(".view");
  view.setAttribute("aria-label", `${name}: plus and minus zoom, arrows move, 0 shows all`);
  $("panels").querySelector(".grid").append(root);
  zoom.add(view);
  const parts = Object.fromEntries(["img", ".map", ".over", ".scale", ".of", ".figures", ".notes", ".pending"].map((each) => [each.replace(".", ""), root.querySelector(each)]));
  panels[key] = { root, ...parts, points: [], maps: {}, unsaid: "" };
}
const neural = panels.neural;
neural.over.hidden = false;
const look = neural.over.querySelector("select");
look.onchange = () => lay();
zoom.draw();
$("zoom-in").onclick = () => zoom.closer();
$("zoom-out").onclick = () => zoom.farther();
$("zoom-reset").onclick = () => zoom.to(1);

// What is set

const [low, high, step] = offered.snr_db;
Object.assign($("snr"), { min: low, max: high, step, value: 10 });
Object.assign($("cbr"), { min: 0, max: offered.cbrs.length - 1, step: 1, value: offered.cbrs.indexOf("1/16") });
const CHOICES = {
  mode: (mode) => mode === "best" ? "best choice at each SNR" : `keeps ${mode.replace("qam-", "QAM, rate ")}`,
  weights: (weights) => weights === "auto" ? "whichever suits best" : weights,
};
for (const [id, word] of Object.entries(CHOICES)) {
  $(id).append(...offered[id === "mode" ? "modes" : "weights"].map((value) => new Option(word(value), value)));
}
const curve = new Curve($("chart"), [low, high], (snr) => {
  $("snr").value = Math.round(snr / step) * step;
  changed();
});

function settings() {
  return {
    snr_db: +$("snr").value,
    cbr: offered.cbrs[+$("cbr").value],
    channel: document.querySelector("[name=channel]:checked").value,
    mode: $("mode").value,
    weights: $("weights").value,
    seed,
  };
}

function tell() {
  const { snr_db, cbr } = settings();
  $("snr-value").textContent = `${String(snr_db).replace("-", "−")} dB`;
  $("snr").setAttribute("aria-valuetext", `${snr_db} decibels`);
  $("cbr-value").textContent = cbr;
  $("cbr").setAttribute("aria-valuetext", `${cbr}, one symbol for ${cbr.slice(2)} numbers of the picture`);
  $("seed").textContent = seed;
  curve.at(snr_db);
}

function changed() {
  tell();
  if (!photograph) return;
  for (const each of SENT) waiting(each);
  timer ??= setTimeout(() => { timer = null; show(); }, WAIT_MS);
}

for (const id of ["snr", "cbr"]) $(id).addEventListener("input", changed);
for (const id of ["mode", "weights"]) $(id).addEventListener("change", changed);
for (const each of document.querySelectorAll("[name=channel]")) each.addEventListener("change", changed);
$("reseed").onclick = () => { seed += 1; changed(); };
$("more").onclick = () => {
  const all = $("controls").classList.toggle("all");
  $("more").setAttribute("aria-expanded", all);
  $("more").textContent = all ? "Fewer settings" : "More settings";
  $("controls").scrollIntoView({ block: "nearest" });
};

// What comes back

function waiting(panel) {
  panels[panel].root.classList.add("stale");
  panels[panel].root.setAttribute("aria-busy", "true");
  panels[panel].pending.hidden = false;
}

function arrived(panel) {
  panels[panel].root.classList.remove("stale");
  panels[panel].root.removeAttribute("aria-busy");
  panels[panel].pending.hidden = true;
}

function says(text) { $("says").textContent = text; }

async function lines(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) take(JSON.parse(part));
  }
}

function request(path, body, more = {}) {
  const headers = { "content-type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body), ...more });
}

async function show(again = true) {
  running?.abort();
  running = new AbortController();
  const mine = ++number;
  const asked = settings();
  begin(asked);
  try {
    const body = { visitor, number: mine, picture: photograph.id, settings: asked };
    const response = await request("/show", body, { signal: running.signal });
    if (response.status === 410 && again) {
      await choose(file, true);
      return;
    }
    if (!response.ok) throw new Error((await response.json()).says);
    says("");
    let whole = false;
    await lines(response, (event) => {
      if (mine !== number) return;
      whole ||= event.event === "done" || event.event === "dropped";
      TAKE[event.event]?.(event, asked);
    });
    if (mine === number && !whole) throw new TypeError();
  } catch (error) {
    if (error.name === "AbortError" || mine !== number) return;
    says(error instanceof TypeError ? "The program behind this page does not answer. Is witt demo still running?" : error.message);
    for (const each of SENT) panels[each].pending.hidden = true;
  }
}

function begin(asked) {
  for (const each of SENT) waiting(each);
  // The curve stays while it is that of the same picture and channel.
  const { snr_db, ...rest } = asked;
  const of = JSON.stringify([photograph.id, rest]);
  if (of !== curveOf) curve.clear();
  curveOf = of;
  curve.at(snr_db);
}

const TAKE = {
  panel(event, asked) {
    const panel = panels[event.panel];
    panel.root.classList.toggle("lost", event.lost);
    panel.root.classList.toggle("none", !event.png);
    if (event.png) panel.img.src = `data:image/png;base64,${event.png}`;
    else panel.img.removeAttribute("src");
    panel.img.alt = event.lost ? `${NAMES[event.panel]}: lost, a grey picture` : `As received by ${NAMES[event.panel]}`;
    panel.of.textContent = described(event);
    panel.notes.textContent = event.notes.join(" ");
    figures(panel, event);
    Object.assign(panel, { points: event.points, maps: event.maps, unsaid: event.unsaid });
    if (panel === neural) lay();
    arrived(event.panel);
    plot();
    if (event.png) curve.put(event.panel, asked.snr_db, event.psnr_db);
    heard();
  },
  "ms-ssim"(event) {
    const wait = panels[event.panel].figures.querySelector(".ms-ssim");
    if (!wait) return;
    const db = document.createElement("span");
    db.className = "db";
    db.textContent = ` (${event.ms_ssim_db})`;
    wait.replaceChildren(`MS-SSIM ${event.ms_ssim}`, db);
    wait.classList.remove("wait");
  },
  point(event) {
    curve.put(event.panel, event.snr_db, event.psnr_db);
    const left = event.of - event.done;
    $("curve-status").textContent = left
      ? `Drawing the curve: ${event.done} of ${event.of} points are there.`
      : "All with the same noise. Choose another SNR by a click into the curve.";
  },
  failed(event) {
    if (event.panel === null) { says(event.says); return; }
    const panel = panels[event.panel];
    panel.notes.textContent = event.says;
    panel.figures.replaceChildren();
    panel.root.classList.add("none");
    panel.img.removeAttribute("src");
    panel.maps = {};
    if (panel === neural) lay();
    panel.points = [];
    arrived(event.panel);
    plot();
  },
};

// The map that was chosen, over the picture of the neural code.
function lay() {
  const { map, scale, maps, unsaid } = neural;
  const there = maps[look.value];
  const says = look.value === "expected" && !there ? unsaid : "";
  map.hidden = !there;
  scale.hidden = !there && !says;
  scale.classList.toggle("unsaid", Boolean(says));
  scale.querySelector(".end").textContent = there ? there.end : says;
  if (!there) { map.removeAttribute("src"); return; }
  map.src = `data:image/png;base64,${there.png}`;
  map.alt = `Map over the picture: ${look.selectedOptions[0].text}, from 0 to ${there.end}`;
  scale.querySelector("i").style.backgroundImage = `linear-gradient(to right, ${there.colours.join(", ")})`;
}

function described({ panel, facts }) {
  if (panel !== "digital") return panel === "neural" ? facts.weights : "learned code of 2019";
  const codec = `${CODECS[facts.codec] ?? offered.codec} + LDPC`;
  return facts.mode ? `${codec}, ${facts.mode.replace("qam-", "QAM ")}` : codec;
}

function figures(panel, { png, psnr_db, facts }) {
  panel.figures.replaceChildren();
  if (!png) return;
  const psnr = document.createElement("b");
  psnr.className = "psnr";
  psnr.textContent = `${psnr_db.toFixed(2)} dB`;
  const ms_ssim = document.createElement("span");
  ms_ssim.className = "ms-ssim wait";
  ms_ssim.textContent = "MS-SSIM …";
  const uses = document.createElement("span");
  uses.className = "uses";
  uses.textContent = `${facts.channel_uses.toLocaleString("en")} symbols`;
  const first = document.createElement("span");
  first.append("PSNR ", psnr);
  panel.figures.append(first, ms_ssim, uses);
}

function heard() {
  if (SENT.some((each) => panels[each].root.classList.contains("stale"))) return;
  const told = SENT.map((each) => `${NAMES[each]} ${panels[each].figures.querySelector(".psnr")?.textContent ?? "none"}`);
  $("live").textContent = `All pictures are there. ${told.join(", ")}.`;
}

function plot() {
  for (const each of SENT) scatter($(`points-${each}`), panels[each].points, `--${each}`);
}
new ResizeObserver(plot).observe($("constellations"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", plot);

// Pictures

function take(described) {
  photograph = described;
  const { id, name, width, height, notes } = described;
  document.documentElement.style.setProperty("--aspect", Math.min(Math.max(width / height, 0.5), 3));
  $("panels").querySelector(".grid").classList.toggle("tall", width < height);
  const { img, of, figures: line } = panels.original;
  img.src = `/pictures/${id}.png`;
  img.alt = `The original, ${name}`;
  of.textContent = name;
  line.textContent = `${width} × ${height} pixels`;
  Object.assign(neural, { maps: {}, unsaid: "" });
  lay();
  for (const each of SENT) { panels[each].img.removeAttribute("src"); panels[each].figures.replaceChildren(); panels[each].notes.textContent = ""; }
  notice(notes.join(" "));
  for (const each of document.querySelectorAll(".samples button")) each.setAttribute("aria-pressed", each.dataset.id === id);
  zoom.to(1);
}

function notice(text, wrong = false) {
  $("picture-notes").textContent = text;
  $("picture-notes").classList.toggle("wrong", wrong);
}

async function choose(chosen, quietly = false) {
  if (!chosen) { await offerSamples(); return; }
  if (!quietly) notice(`Reading ${chosen.name} …`);
  try {
    const headers = { "content-type": "application/octet-stream", "x-name": encodeURIComponent(chosen.name) };
    const response = await fetch("/pictures", { method: "POST", headers, body: chosen });
    const answer = await response.json();
    if (!response.ok) { notice(answer.says, true); return; }
    file = chosen;
    take(answer);
    show(false);
  } catch {
    notice("The program behind this page does not answer. Is witt demo still running?", true);
  }
}

async function offerSamples() {
  const response = await fetch("/pictures/samples");
  const found = await response.json();
  const words = { parrots: "Two parrots", chart: "Text and lines" };
  const buttons = Object.entries(found).map(([key, each]) => {
    const button = document.createElement("button");
    const image = new Image();
    image.src = `/pictures/${each.id}.png`;
    image.alt = "";
    const name = document.createElement("span");
    name.textContent = words[key];
    button.type = "button";
    button.dataset.id = each.id;
    button.append(image, name);
    button.onclick = () => { file = null; take(each); show(); };
    return button;
  });
  document.querySelector(".samples").replaceChildren(...buttons);
  buttons[0].click();
}

$("file").onchange = (event) => { if (event.target.files[0]) choose(event.target.files[0]); event.target.value = ""; };
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => { if (event.clipboardData.files[0]) choose(event.clipboardData.files[0]); });

// "?": one at a time, closed by Escape or a click elsewhere.
const tips = [...document.querySelectorAll(".what")];
addEventListener("click", (event) => { for (const tip of tips) if (!tip.contains(event.target)) tip.open = false; });
addEventListener("keydown", (event) => { if (event.key === "Escape") for (const tip of tips) tip.open = false; });

$("save").onclick = async () => {
  $("save").disabled = true;
  $("save-says").classList.remove("wrong");
  $("save-says").textContent = "Working …";
  try {
    const body = { visitor: `${visitor}-save`, number: 1, picture: photograph.id, settings: settings() };
    const response = await request("/save", body);
    if (!response.ok) throw new Error((await response.json()).says);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = "witt-demo.zip";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    $("save-says").textContent = "Saved as witt-demo.zip.";
  } catch (error) {
    $("save-says").classList.add("wrong");
    $("save-says").textContent = error instanceof TypeError ? "The program behind this page does not answer. Is witt demo still running?" : error.message;
  }
  $("save").disabled = false;
};

tell();
offerSamples().catch(() => says("The program behind this page does not answer. Is witt demo still running?"));
