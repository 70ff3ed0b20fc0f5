// One zoom for all pictures. The place in the middle of a view is kept as a fraction of the picture.

const MOST = 16;
const STEP = 1.25;

export class Zoom {
  constructor(root, told) {
    this.root = root;
    this.told = told;
    this.views = [];
    this.scale = 1;
    this.x = this.y = 0.5;
    this.fingers = new Map();
    new ResizeObserver(() => this.draw()).observe(root);
  }

  add(view) {
    this.views.push(view);
    view.addEventListener("wheel", (event) => this.wheel(event, view), { passive: false });
    view.addEventListener("dblclick", (event) => this.about(event, view, this.scale > 1 ? 1 : 4));
    view.addEventListener("keydown", (event) => this.key(event));
    view.addEventListener("pointerdown", (event) => this.down(event, view));
    view.addEventListener("pointermove", (event) => this.move(event, view));
    for (const gone of ["pointerup", "pointercancel"]) {
      view.addEventListener(gone, (event) => this.fingers.delete(event.pointerId));
    }
  }

  to(scale, x = this.x, y = this.y) {
    this.scale = Math.min(Math.max(scale, 1), MOST);
    if (this.scale < 1.01) this.scale = 1;
    const half = 0.5 / this.scale;
    this.x = Math.min(Math.max(x, half), 1 - half);
    this.y = Math.min(Math.max(y, half), 1 - half);
    this.draw();
  }

  by(factor) { this.to(this.scale * factor); }
  closer() { this.by(STEP * STEP); }
  farther() { this.by(1 / (STEP * STEP)); }

  draw() {
    for (const view of this.views) {
      const { clientWidth: width, clientHeight: height } = view;
      const left = width * (0.5 - this.x * this.scale);
      const top = height * (0.5 - this.y * this.scale);
      for (const image of view.querySelectorAll("img")) {
        image.style.transform = `translate(${left}px, ${top}px) scale(${this.scale})`;
        // Pixels are to be seen as such once they are larger than those of the screen.
        image.classList.toggle("sharp", this.scale * width > 2 * (image.naturalWidth || 1e9));
      }
    }
    this.root.classList.toggle("zoomed", this.scale > 1);
    this.told(this.scale);
  }

  // Keep what is under the pointer where it is.
  about(event, view, scale) {
    const box = view.getBoundingClientRect();
    const fx = (event.clientX - box.left) / box.width - 0.5;
    const fy = (event.clientY - box.top) / box.height - 0.5;
    const x = this.x + fx / this.scale;
    const y = this.y + fy / this.scale;
    const reached = Math.min(Math.max(scale, 1), MOST);
    this.to(reached, x - fx / reached, y - fy / reached);
  }

  wheel(event, view) {
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015));
    if (factor < 1 && this.scale === 1) return; // the page scrolls
    event.preventDefault();
    this.about(event, view, this.scale * factor);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.1 / this.scale;
    const moves = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    if (event.key === "+" || event.key === "=") this.closer();
    else if (event.key === "-") this.farther();
    else if (event.key === "0") this.to(1);
    else if (event.key in moves && this.scale > 1) {
      this.to(this.scale, this.x + moves[event.key][0], this.y + moves[event.key][1]);
    } else return;
    event.preventDefault();
  }

  down(event, view) {
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.scale > 1 || this.fingers.size > 1) view.setPointerCapture(event.pointerId);
  }

  move(event, view) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const others = [...this.fingers].filter(([id]) => id !== event.pointerId);
    this.fingers.set(event.pointerId, now);
    if (others.length) {
      const other = others[0][1];
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
      const middle = { clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 };
      this.about(middle, view, (this.scale * apart(now)) / apart(before));
    } else if (this.scale > 1) {
      const across = view.clientWidth * this.scale;
      const down = view.clientHeight * this.scale;
      const [dx, dy] = [(now[0] - before[0]) / across, (now[1] - before[1]) / down];
      this.to(this.scale, this.x - dx, this.y - dy);
    }
  }
}
