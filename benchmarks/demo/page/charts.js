// The curve over the SNR as SVG, and received symbols on a canvas.

const SVG = "http://www.w3.org/2000/svg";
const NAMES = { neural: "Neural code", deepjscc: "DeepJSCC", digital: "Digital" };
const STEP_DB = { neural: 3, deepjscc: 3, digital: 1 }; // between the points of a whole curve
const PADDING = { left: 44, right: 104, top: 12, bottom: 40 };

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export class Curve {
  constructor(root, [low, high], chosen) {
    this.root = root;
    this.low = low;
    this.high = high;
    this.chosen = chosen;
    this.points = {};
    this.snr = 10;
    new ResizeObserver(() => this.draw()).observe(root);
  }

  clear() { this.points = {}; this.draw(); }

  put(panel, snr, psnr) {
    (this.points[panel] ??= new Map()).set(snr, psnr);
    this.draw();
  }

  at(snr) { this.snr = snr; this.draw(); }

  draw() {
    const width = Math.max(this.root.clientWidth, 240);
    const narrow = width < 480;
    const padding = { ...PADDING, right: narrow ? 12 : PADDING.right };
    const height = narrow ? 240 : 270;
    const series = Object.entries(this.points).map(([panel, points]) => [
      panel,
      [...points].filter(([, psnr]) => psnr !== null).sort((a, b) => a[0] - b[0]),
    ]);
    const values = series.flatMap(([, points]) => points.map(([, psnr]) => psnr));
    const bottom = Math.floor((Math.min(20, ...values) - 1) / 5) * 5;
    const top = Math.ceil((Math.max(35, ...values) + (narrow ? 3 : 0.5)) / 5) * 5;
    const x = (snr) =>
      padding.left + ((snr - this.low) / (this.high - this.low)) * (width - padding.left - padding.right);
    const y = (psnr) =>
      height - padding.bottom - ((psnr - bottom) / (top - bottom)) * (height - padding.top - padding.bottom);
    const svg = element("svg", {
      viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": this.told(series),
    });
    for (let psnr = bottom; psnr <= top; psnr += 5) {
      svg.append(element("line", { class: "rule", x1: padding.left, x2: width - padding.right, y1: y(psnr), y2: y(psnr) }));
      svg.append(element("text", { x: padding.left - 7, y: y(psnr) + 4, "text-anchor": "end" }, psnr));
    }
    for (let snr = this.low; snr <= this.high; snr += 5) {
      svg.append(element("text", { x: x(snr), y: height - padding.bottom + 17, "text-anchor": "middle" }, String(snr).replace("-", "−")));
    }
    svg.append(element("text", { x: (padding.left + width - padding.right) / 2, y: height - 5, "text-anchor": "middle" }, "SNR in dB"));
    svg.append(element("text", { x: -(height - padding.bottom) / 2, y: 12, transform: "rotate(-90)", "text-anchor": "middle" }, "PSNR in dB"));
    svg.append(element("line", { class: "here", x1: x(this.snr), x2: x(this.snr), y1: padding.top, y2: height - padding.bottom }));
    for (const [panel, points] of series) {
      // No line across what is not known yet.
      const joined = (i) => i > 0 && points[i][0] - points[i - 1][0] <= STEP_DB[panel];
      const path = points.map(([snr, psnr], i) => `${joined(i) ? "L" : "M"}${x(snr).toFixed(1)} ${y(psnr).toFixed(1)}`).join("");
      svg.append(element("path", { class: `line ${panel}`, d: path }));
      points.forEach(([snr, psnr], i) => {
        if (joined(i) || (i + 1 < points.length && joined(i + 1))) return;
        svg.append(element("circle", { class: panel, cx: x(snr), cy: y(psnr), r: 2.5 }));
      });
      const here = points.find(([snr]) => snr === this.snr);
      if (here) svg.append(element("circle", { class: panel, cx: x(here[0]), cy: y(here[1]), r: 6 }));
    }
    this.name(svg, series, y, width, padding, narrow);
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const part = ((event.clientX - box.left) / box.width * width - padding.left) / (width - padding.left - padding.right);
      this.chosen(this.low + part * (this.high - this.low));
    });
    this.root.replaceChildren(svg);
  }

  // Names at the ends of the lines, kept apart; above the chart where there is no room.
  name(svg, series, y, width, padding, narrow) {
    const ends = series.filter(([, points]) => points.length).map(([panel, points]) => ({ panel, at: points.at(-1) }));
    ends.sort((a, b) => y(a.at[1]) - y(b.at[1]));
    let last = -Infinity;
    let left = padding.left + 4;
    ends.forEach(({ panel, at }) => {
      const start = left;
      left += 8.2 * NAMES[panel].length + 14;
      const attributes = narrow
        ? { x: start, y: padding.top + 2 }
        : { x: width - padding.right + 10, y: (last = Math.max(y(at[1]) + 4, last + 16)) };
      svg.append(element("text", { class: `name ${panel}`, ...attributes }, NAMES[panel]));
    });
  }

  told(series) {
    const parts = series.map(([panel, points]) => {
      const here = points.find(([snr]) => snr === this.snr);
      return here ? `${NAMES[panel]} ${here[1].toFixed(1)} dB` : "";
    });
    const said = parts.filter(Boolean).join(", ");
    return `PSNR over SNR from ${this.low} to ${this.high} dB. At ${this.snr} dB: ${said || "not there yet"}.`;
  }
}

const REACH = 2.6; // of the axes of received symbols; the mean power is 1 + noise

export function scatter(canvas, points, colour) {
  const side = canvas.clientWidth || 220;
  const dense = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(side * dense);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.scale(dense, dense);
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.beginPath();
  pen.moveTo(side / 2, 0); pen.lineTo(side / 2, side);
  pen.moveTo(0, side / 2); pen.lineTo(side, side / 2);
  pen.stroke();
  pen.fillStyle = style.getPropertyValue(colour);
  pen.globalAlpha = 0.5;
  const dot = Math.min(Math.max(side / 100, 1), 2);
  for (let i = 0; i < points.length; i += 2) {
    const x = side * (0.5 + points[i] / (2 * REACH));
    const y = side * (0.5 - points[i + 1] / (2 * REACH));
    pen.fillRect(x - dot / 2, y - dot / 2, dot, dot);
  }
}
