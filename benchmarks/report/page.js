// The moving parts of a report: curves, the tables' order and choice, the pictures' zoom.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, parent = null, text = null) {
  const inside = ["svg", "g", "path", "line", "text", "clipPath", "rect"].includes(name);
  const element = inside ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text; // never as HTML: names come from files
  if (parent) parent.append(element);
  return element;
}

// ---- curves ----

function polygon(corners, radius, turn) {
  const points = Array.from({ length: corners }, (_, index) => {
    const angle = turn + (2 * Math.PI * index) / corners;
    return `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

const CROSS = "M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z";
const MARKERS = {
  o: polygon(24, 4, 0),
  ".": polygon(12, 2, 0),
  s: polygon(4, 5, Math.PI / 4),
  D: polygon(4, 5, 0),
  d: "M0 -5L3 0L0 5L-3 0Z",
  p: polygon(5, 4.8, 0),
  h: polygon(6, 4.6, 0),
  "^": polygon(3, 5, 0),
  v: polygon(3, 5, Math.PI),
  "<": polygon(3, 5, -Math.PI / 2),
  ">": polygon(3, 5, Math.PI / 2),
  P: CROSS,
  X: "M0 -2L2.5 -4.6L4.6 -2.5L2 0L4.6 2.5L2.5 4.6L0 2L-2.5 4.6L-4.6 2.5L-2 0L-4.6 -2.5L-2.5 -4.6Z",
};

function styled(parent, series, name = "g") {
  const group = make(name, { class: `${name === "g" ? "curve" : "swatch"} ${series.kind}` }, parent);
  group.style.setProperty("--colour", series.colour || "var(--fixed)");
  return group;
}

function stroke(series) {
  const width = { measured: 2, published: 1.2 }[series.kind] || 1;
  return { "stroke-width": width, "stroke-dasharray": series.dash, "stroke-linejoin": "round" };
}

function marker(parent, series, x, y) {
  if (!(series.marker in MARKERS)) return;
  const at = { d: MARKERS[series.marker], transform: `translate(${x} ${y})`, class: "marker" };
  make("path", at, parent);
}

function swatch(parent, series) {
  const svg = styled(parent, series, "svg");
  svg.setAttribute("viewBox", "0 0 30 12");
  svg.setAttribute("aria-hidden", "true");
  make("path", { d: "M1 6H29", ...stroke(series) }, svg);
  marker(svg, series, 15, 6);
}

function niceTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const HEIGHT = 380, LEFT = 48, RIGHT = 14, TOP = 10, BOTTOM = 44;
let clips = 0;

class Plot {
  constructor(chart, panel, parent) {
    this.chart = chart;
    this.panel = panel;
    this.hidden = new Set();
    this.stop = null;
    this.box = make("div", { class: "panel" }, parent);
    if (panel.title) make("h4", {}, this.box, panel.title);
    const label = `${panel.ylabel} over ${chart.xlabel}; arrow keys read the values`;
    this.svg = make("svg", { tabindex: 0, role: "img", "aria-label": label }, this.box);
    this.tip = make("div", { class: "tip", role: "status" }, this.box);
    this.tip.hidden = true;
    this.clip = `clip${clips++}`;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("focus", () => this.stop === null && this.read(0));
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  get shown() {
    return this.panel.series.filter((series) => !this.hidden.has(series.group));
  }

  x(value) {
    const [low, high] = this.ends;
    return LEFT + ((value - low) / (high - low)) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    const [low, high] = this.chart.limits;
    return TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  }

  inside(value) {
    return value !== null && value >= this.chart.limits[0] && value <= this.chart.limits[1];
  }

  draw() {
    this.width = Math.max(240, this.box.clientWidth);
    const all = this.panel.stops.map((stop) => stop[0]).concat(this.chart.ticks.map((t) => t[0]));
    const low = Math.min(...all), high = Math.max(...all);
    const margin = 0.03 * (high - low || 1);
    this.ends = [low - margin, high + margin];
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("height", HEIGHT);
    this.axes();
    const clip = make("clipPath", { id: this.clip }, this.svg);
    const inner = { width: this.width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
    make("rect", { x: LEFT, y: TOP, ...inner }, clip);
    const plane = make("g", { "clip-path": `url(#${this.clip})` }, this.svg);
    this.guide = make("line", { class: "guide", y1: TOP, y2: HEIGHT - BOTTOM }, plane);
    this.guide.style.display = "none";
    this.groups = new Map();
    const order = ["fixed", "bound", "published", "measured"];
    const sorted = [...this.shown].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    for (const series of sorted) this.groups.set(series, this.curve(plane, series));
    if (this.stop !== null) this.read(this.stop, this.near);
  }

  axes() {
    const [low, high] = this.chart.limits, bottom = HEIGHT - BOTTOM;
    const { ticks, digits } = niceTicks(low, high, 6);
    for (const value of ticks) {
      const y = this.y(value);
      make("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }, this.svg);
      const at = { x: LEFT - 7, y: y + 4, "text-anchor": "end" };
      make("text", at, this.svg, value.toFixed(digits));
    }
    let free = -Infinity;
    for (const [value, text] of this.chart.ticks) {
      const x = this.x(value), half = 3.6 * text.length;
      make("line", { class: "grid", x1: x, x2: x, y1: TOP, y2: bottom }, this.svg);
      if (x - half < free) continue;
      free = x + half + 6;
      make("text", { x, y: bottom + 17, "text-anchor": "middle" }, this.svg, text);
    }
    const middle = (LEFT + this.width - RIGHT) / 2;
    make("text", { x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, this.svg, this.chart.xlabel);
    const turned = `translate(12 ${(TOP + bottom) / 2}) rotate(-90)`;
    make("text", { transform: turned, "text-anchor": "middle" }, this.svg, this.panel.ylabel);
  }

  curve(parent, series) {
    const group = styled(parent, series);
    let line = "", pen = "M";
    for (const [, x, y] of series.points) {
      if (x === null || y === null) { pen = "M"; continue; }
      line += `${pen}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
      pen = "L";
    }
    make("path", { d: line, ...stroke(series) }, group);
    for (const [, x, y] of series.points) {
      if (x !== null && y !== null) marker(group, series, this.x(x).toFixed(1), this.y(y).toFixed(1));
    }
    return group;
  }

  // The points at a stop, best first; not those outside of the axes.
  at(stop) {
    const rows = [];
    for (const series of this.shown) {
      for (const [index, x, y] of series.points) {
        if (index === stop && this.inside(y)) rows.push({ series, x, y });
      }
    }
    return rows.sort((a, b) => b.y - a.y);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const stops = this.panel.stops.map((_, index) => index).filter((index) => this.at(index).length);
    if (!stops.length) return;
    const far = (stop) => Math.abs(this.x(this.panel.stops[stop][0]) - x);
    const stop = stops.reduce((best, other) => (far(other) < far(best) ? other : best));
    const rows = this.at(stop);
    const high = (row) => Math.abs(this.y(row.y) - y);
    const near = rows.reduce((best, other) => (high(other) < high(best) ? other : best));
    this.read(stop, near.series);
  }

  read(stop, near = null) {
    const rows = this.at(stop);
    this.stop = stop;
    this.near = near || (rows.length ? rows[0].series : null);
    const [value, text] = this.panel.stops[stop];
    const x = this.x(value);
    for (const side of ["x1", "x2"]) this.guide.setAttribute(side, x);
    this.guide.style.display = "";
    for (const [series, group] of this.groups) {
      group.classList.toggle("faint", this.near !== null && series.group !== this.near.group);
    }
    this.tip.replaceChildren();
    make("strong", {}, this.tip, this.chart.axis === "snr" ? `${text} dB` : `CBR ${text}`);
    for (const row of rows) {
      const line = make("div", row.series === this.near ? { class: "near" } : {}, this.tip);
      swatch(line, row.series);
      make("span", {}, line, row.series.label);
      make("b", {}, line, row.y.toFixed(this.panel.digits));
    }
    if (!rows.length) make("div", {}, this.tip, "no value");
    this.tip.hidden = false;
    const wide = this.tip.offsetWidth;
    const narrow = this.width < 480; // there it goes below, or it would hide the curves
    const left = x + 14 + wide <= this.width ? x + 14 : x - 14 - wide;
    this.tip.style.left = `${Math.max(0, Math.min(left, this.width - wide))}px`;
    const above = this.svg.getBoundingClientRect().top - this.box.getBoundingClientRect().top;
    this.tip.style.top = `${above + (narrow ? HEIGHT : TOP)}px`;
  }

  leave() {
    this.stop = this.near = null;
    this.tip.hidden = true;
    if (this.guide) this.guide.style.display = "none";
    if (this.groups) for (const group of this.groups.values()) group.classList.remove("faint");
  }

  key(event) {
    const last = this.panel.stops.length - 1, stop = this.stop === null ? 0 : this.stop;
    const rows = this.at(stop), place = rows.findIndex((row) => row.series === this.near);
    const moves = {
      ArrowLeft: () => this.read(Math.max(0, stop - 1), this.near),
      ArrowRight: () => this.read(Math.min(last, stop + 1), this.near),
      Home: () => this.read(0, this.near),
      End: () => this.read(last, this.near),
      ArrowUp: () => place > 0 && this.read(stop, rows[place - 1].series),
      ArrowDown: () => place < rows.length - 1 && this.read(stop, rows[place + 1].series),
      Escape: () => this.leave(),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    moves[event.key]();
  }
}

function drawCharts(charts) {
  for (const article of document.querySelectorAll("[data-chart]")) {
    const chart = charts[article.dataset.chart];
    const panels = article.querySelector(".panels"), legend = article.querySelector(".legend");
    const plots = chart.panels.map((panel) => new Plot(chart, panel, panels));
    const named = new Map();
    for (const panel of chart.panels) {
      for (const series of panel.series) if (!named.has(series.group)) named.set(series.group, series);
    }
    for (const [name, series] of named) {
      const button = make("button", { type: "button", "aria-pressed": "true" }, legend);
      swatch(button, series);
      make("span", {}, button, name);
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!shown));
        for (const plot of plots) {
          plot.hidden[shown ? "add" : "delete"](name);
          plot.draw();
        }
      });
    }
  }
}

// ---- tables ----

function sortable(table) {
  const heads = [...table.querySelectorAll("thead th")], body = table.tBodies[0];
  heads.forEach((head, index) => {
    const text = head.textContent;
    head.replaceChildren();
    make("button", { type: "button" }, head, text).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const value = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent;
      const compare = (a, b) => {
        const one = value(a), other = value(b), difference = Number(one) - Number(other);
        if (!Number.isNaN(difference)) return sign * difference;
        // What has no value comes last either way.
        if ((one === "nan") !== (other === "nan")) return one === "nan" ? 1 : -1;
        return sign * one.localeCompare(other);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

function choosable(group) {
  const articles = [...group.children];
  if (articles.length < 2) return;
  const label = make("label", {}, null, "Compare with ");
  const select = make("select", {}, label);
  articles.forEach((article, index) => {
    const title = article.querySelector("h3").textContent.replace(/^Against (.*?): .*$/, "$1");
    make("option", { value: index }, select, title);
  });
  const choose = () => articles.forEach((a, index) => { a.hidden = index !== Number(select.value); });
  select.addEventListener("change", choose);
  group.prepend(label);
  choose();
}

// ---- pictures ----

const MOST = 16;

class Zoom {
  constructor(article) {
    this.article = article;
    this.frames = [...article.querySelectorAll(".frame")].filter((frame) => frame.firstElementChild);
    this.scale = 1;
    this.left = this.top = 0; // of what is seen, as shares of the picture
    this.fingers = new Map();
    const bar = article.querySelector(".zoom");
    const button = (text, label, act) =>
      make("button", { type: "button", "aria-label": label }, bar, text).addEventListener("click", act);
    button("−", "Zoom out", () => this.times(1 / 1.5));
    button("+", "Zoom in", () => this.times(1.5));
    button("1:1", "Whole pictures", () => this.reset());
    this.told = make("span", { class: "note", role: "status" }, bar);
    for (const frame of this.frames) {
      frame.addEventListener("wheel", (event) => this.wheel(event, frame), { passive: false });
      frame.addEventListener("pointerdown", (event) => this.down(event, frame));
      frame.addEventListener("pointermove", (event) => this.move(event, frame));
      for (const end of ["pointerup", "pointercancel"]) {
        frame.addEventListener(end, (event) => this.fingers.delete(event.pointerId));
      }
      frame.addEventListener("dblclick", (event) => {
        if (this.scale > 1) this.reset();
        else this.times(4, ...this.share(event, frame));
      });
      frame.addEventListener("keydown", (event) => this.key(event));
    }
    this.show();
  }

  // Where in a frame a pointer is, as shares of its width and height.
  share(event, frame) {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  // Zoom about a place in the frame, which stays where it is.
  times(factor, x = 0.5, y = 0.5) {
    const before = this.scale;
    this.scale = Math.min(MOST, Math.max(1, before * factor));
    this.left += x * (1 / before - 1 / this.scale);
    this.top += y * (1 / before - 1 / this.scale);
    this.show();
  }

  shift(x, y) {
    this.left += x / this.scale;
    this.top += y / this.scale;
    this.show();
  }

  reset() {
    this.scale = 1;
    this.left = this.top = 0;
    this.show();
  }

  show() {
    const most = 1 - 1 / this.scale;
    this.left = Math.min(most, Math.max(0, this.left));
    this.top = Math.min(most, Math.max(0, this.top));
    const to = `scale(${this.scale}) translate(${-100 * this.left}%, ${-100 * this.top}%)`;
    for (const frame of this.frames) frame.firstElementChild.style.transform = to;
    this.article.classList.toggle("zoomed", this.scale > 1);
    this.told.textContent = `×${this.scale.toFixed(1)}`;
  }

  wheel(event, frame) {
    // At the ends the page scrolls on.
    const out = event.deltaY > 0;
    if (out ? this.scale === 1 : this.scale === MOST) return;
    event.preventDefault();
    this.times(Math.exp(-event.deltaY / 300), ...this.share(event, frame));
  }

  down(event, frame) {
    if (this.scale > 1 || event.pointerType === "touch") frame.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.share(event, frame));
  }

  move(event, frame) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = this.share(event, frame);
    const others = [...this.fingers].filter(([id]) => id !== event.pointerId);
    this.fingers.set(event.pointerId, now);
    if (!others.length) return void this.shift(before[0] - now[0], before[1] - now[1]);
    const still = others[0][1];
    const apart = (place) => Math.hypot(place[0] - still[0], place[1] - still[1]);
    if (apart(before) > 0) this.times(apart(now) / apart(before), ...still);
  }

  key(event) {
    const moves = {
      "+": () => this.times(1.5),
      "=": () => this.times(1.5),
      "-": () => this.times(1 / 1.5),
      0: () => this.reset(),
      ArrowLeft: () => this.shift(-0.1, 0),
      ArrowRight: () => this.shift(0.1, 0),
      ArrowUp: () => this.shift(0, -0.1),
      ArrowDown: () => this.shift(0, 0.1),
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey) return;
    if (this.scale === 1 && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    moves[event.key]();
  }
}

drawCharts(JSON.parse(document.getElementById("data").textContent));
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".choice").forEach(choosable);
document.querySelectorAll(".pictures").forEach((article) => new Zoom(article));
