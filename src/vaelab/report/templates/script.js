"use strict";
/* Everything here is an addition: without it the report shows the same text, numbers and pictures. */

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/* Light and dark: the system's, unless the reader chose. */
function theme() {
  const root = document.documentElement;
  const key = "vaelab-report-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  try {
    const kept = localStorage.getItem(key);
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* no storage for files: the system's choice */ }
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  document.addEventListener("DOMContentLoaded", () => {
    const button = make("button", { type: "button", class: "tool theme" });
    const changed = () => {
      button.textContent = dark() ? "Light page" : "Dark page";
      document.dispatchEvent(new Event("themechange"));
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem(key, root.dataset.theme); } catch { /* for this visit only */ }
      changed();
    });
    system.addEventListener("change", changed);
    const tools = make("p", { class: "tools" });
    tools.append(button);
    document.querySelector(".contents details").append(tools);
    changed();
  });
}

/* Contents: folded on narrow screens, the section being read marked. */
function contents() {
  const details = document.querySelector(".contents details");
  const narrow = matchMedia("(max-width: 62rem)");
  const fold = () => { details.open = !narrow.matches; };
  fold();
  narrow.addEventListener("change", fold);
  details.addEventListener("click", (event) => {
    if (narrow.matches && event.target.closest("a")) details.open = false;
  });
  const links = new Map();
  for (const link of details.querySelectorAll("ol a")) {
    const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (section) links.set(section, link);
  }
  const mark = () => {
    let current = null;
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
    for (const section of links.keys()) {
      if (!current || atEnd || section.getBoundingClientRect().top < innerHeight * 0.3) current = section;
    }
    for (const [section, link] of links) {
      if (section !== current) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "location");
        if (!narrow.matches) link.scrollIntoView({ block: "nearest" });
      }
    }
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
}

/* Copy buttons: a table as tab-separated values, a listing as it is. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* not allowed here: the old way */ }
  const area = make("textarea", { class: "hidden-text", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

function tabSeparated(table) {
  /* A spreadsheet reads numbers with a hyphen for the minus sign. */
  const cell = (element) => element.textContent.replace(/\s+/g, " ").trim().replace(/−(?=\.?\d)/g, "-");
  return [...table.rows].map((row) => [...row.cells].map(cell).join("\t")).join("\n") + "\n";
}

function copying() {
  for (const box of document.querySelectorAll("figure.table, figure.listing")) {
    const table = box.querySelector("table");
    const label = table ? "Copy table" : "Copy";
    const button = make("button", { type: "button", class: "tool" }, label);
    button.addEventListener("click", async () => {
      const done = await copy(table ? tabSeparated(table) : box.querySelector("code").textContent);
      button.textContent = done ? "Copied" : "Copying failed";
      setTimeout(() => { button.textContent = label; }, 1600);
    });
    (table ? box : box.querySelector(".code")).append(button);
  }
  for (const box of document.querySelectorAll(".scroll, pre")) {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  }
}

/* Click on a picture: as large as the window allows. */
function enlarging() {
  const dialog = make("dialog", { id: "enlarged" });
  if (!dialog.showModal) return;
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.replaceChildren());
  for (const image of document.querySelectorAll(".picture .card img")) {
    const button = make("button", { type: "button", class: "enlarge", title: "Enlarge" });
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      const large = image.cloneNode();
      const scale = Math.min((innerWidth * 0.96 - 32) / image.naturalWidth, (innerHeight * 0.96 - 32) / image.naturalHeight, 2);
      large.width = image.naturalWidth * scale;
      large.height = image.naturalHeight * scale;
      dialog.replaceChildren(large);
      dialog.showModal();
    });
  }
}

/* Markers of the classes, those of matplotlib. */
function trace(pen, marker, x, y, r) {
  const corners = (points) => points.forEach(([a, b], i) => pen[i ? "lineTo" : "moveTo"](x + a * r, y + b * r));
  const t = 0.36;
  pen.beginPath();
  if (marker === "^") corners([[0, -1], [1, 0.9], [-1, 0.9]]);
  else if (marker === "v") corners([[0, 1], [1, -0.9], [-1, -0.9]]);
  else if (marker === "s") corners([[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]]);
  else if (marker === "D") corners([[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]]);
  else if (marker === "P" || marker === "X") {
    const plus = [[-t, -1], [t, -1], [t, -t], [1, -t], [1, t], [t, t], [t, 1], [-t, 1], [-t, t], [-1, t], [-1, -t], [-t, -t]];
    const s = Math.SQRT1_2;
    corners(marker === "P" ? plus : plus.map(([a, b]) => [(a - b) * s, (a + b) * s]));
  } else pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.closePath();
}

function ticks(low, high, most) {
  const raw = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step);
  const places = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, n) => first + n);
  return places.map((n) => [n * step, (n ? n * step : 0).toFixed(digits).replace("-", "−")]);
}

/* A latent plane: a point's image, label and position on hovering, tapping, or with the arrow keys. */
class Plane {
  constructor(figure) {
    this.figure = figure;
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.hidden = new Set();
    this.current = -1;
    this.sprite = new Image();
    this.sprite.src = this.data.sprite.uri;
    this.sprite.addEventListener("load", () => this.point(this.current));
    this.build();
    this.draw();
    figure.classList.add("live");
    new ResizeObserver(() => this.draw()).observe(this.stage);
    addEventListener("resize", () => this.draw());
    document.addEventListener("themechange", () => this.draw());
  }

  build() {
    const alt = this.figure.querySelector("img").alt;
    this.stage = make("div", { class: "stage" });
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": `${alt} Arrow keys go from point to point.` });
    this.tip = make("div", { class: "tip", hidden: "" });
    this.tile = make("canvas");
    this.words = make("div");
    this.tip.append(this.tile, this.words);
    this.spoken = make("div", { class: "hidden-text", "aria-live": "polite" });
    this.plot = make("div", { class: "plot" });
    this.plot.append(this.canvas);
    this.stage.append(this.plot, this.tip, this.legend(), this.spoken);
    this.figure.prepend(this.stage);
    const hint = make("span", { class: "hint" }, " Point at an image, tap it, or use the arrow keys; click a class to hide it.");
    (this.figure.querySelector("figcaption") || this.figure.appendChild(make("figcaption"))).append(hint);
    this.canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") this.point(this.nearest(event, 14)); });
    this.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.point(-1); });
    this.canvas.addEventListener("click", (event) => this.point(this.nearest(event, 28)));
    this.canvas.addEventListener("blur", () => this.point(-1));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  legend() {
    const box = make("div", { class: "legend", role: "group", "aria-label": "Classes shown" });
    const used = new Set(this.data.label);
    this.data.names.forEach((name, place) => {
      if (!used.has(place)) return;
      const button = make("button", { type: "button", "aria-pressed": "true", title: "Show or hide" });
      const swatch = make("canvas", { width: "28", height: "28", "aria-hidden": "true" });
      const pen = swatch.getContext("2d");
      pen.fillStyle = this.data.colours[place];
      trace(pen, this.data.markers[place], 14, 14, 10);
      pen.fill();
      button.append(swatch, make("span", {}, name));
      button.addEventListener("click", () => {
        if (this.hidden.has(place)) this.hidden.delete(place);
        else this.hidden.add(place);
        button.setAttribute("aria-pressed", String(!this.hidden.has(place)));
        this.point(-1);
        this.draw();
      });
      box.append(button);
    });
    return box;
  }

  /* Equal units on both axes; the points in the middle. */
  layout() {
    const { x, y } = this.data;
    const width = this.plot.clientWidth;
    const height = Math.round(Math.min(width * (width < 520 ? 1 : 0.8), 600));
    const frame = { left: 46, right: 12, top: 12, bottom: 42 };
    const wide = width - frame.left - frame.right;
    const high = height - frame.top - frame.bottom;
    const [xs, ys] = [x, y].map((v) => [v.reduce((a, b) => Math.min(a, b)), v.reduce((a, b) => Math.max(a, b))]);
    const unit = Math.max((xs[1] - xs[0]) / wide, (ys[1] - ys[0]) / high, 1e-9) * 1.06;
    const middle = [(xs[0] + xs[1]) / 2, (ys[0] + ys[1]) / 2];
    const at = [frame.left + wide / 2, frame.top + high / 2];
    this.size = { width, height, wide, high, frame, unit };
    this.range = [
      [middle[0] - (wide / 2) * unit, middle[0] + (wide / 2) * unit],
      [middle[1] - (high / 2) * unit, middle[1] + (high / 2) * unit],
    ];
    this.toX = (value) => at[0] + (value - middle[0]) / unit;
    this.toY = (value) => at[1] - (value - middle[1]) / unit;
  }

  draw() {
    if (!this.plot.clientWidth) return;
    this.layout();
    const { width, height } = this.size;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.canvas.width / width, 0, 0, this.canvas.height / height, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.axes(pen);
    const { x, y, label, colours, markers } = this.data;
    const radius = Math.min(5, Math.max(2.4, 130 / Math.sqrt(x.length))) * Math.sqrt(Math.min(1, width / 700));
    /* A thin edge keeps points apart, and dark colours from drowning in a dark page. */
    const bright = /^rgb\((\d+)/.exec(getComputedStyle(this.canvas).backgroundColor)?.[1] > 127;
    pen.strokeStyle = bright ? "rgb(255 255 255)" : "rgb(255 255 255 / 0.45)";
    pen.lineWidth = 0.6;
    for (let i = 0; i < x.length; i++) {
      if (this.hidden.has(label[i])) continue;
      pen.fillStyle = colours[label[i]];
      trace(pen, markers[label[i]], this.toX(x[i]), this.toY(y[i]), radius);
      pen.globalAlpha = 0.85;
      pen.fill();
      pen.globalAlpha = 1;
      pen.stroke();
    }
    this.radius = radius;
    if (this.current >= 0) this.ring(pen);
  }

  axes(pen) {
    const style = getComputedStyle(this.canvas);
    const { frame, wide, high, height } = this.size;
    const [right, bottom] = [frame.left + wide, frame.top + high];
    pen.font = `12px ${style.fontFamily}`;
    pen.lineWidth = 1;
    pen.fillStyle = style.color;
    const line = (x0, y0, x1, y1) => { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); };
    pen.strokeStyle = style.borderTopColor;
    pen.textBaseline = "top";
    pen.textAlign = "center";
    for (const [value, text] of ticks(...this.range[0], wide / 70)) {
      const at = Math.round(this.toX(value)) + 0.5;
      line(at, frame.top, at, bottom);
      pen.fillText(text, at, bottom + 6);
    }
    pen.fillText("z₁", frame.left + wide / 2, height - 18);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [value, text] of ticks(...this.range[1], high / 55)) {
      const at = Math.round(this.toY(value)) + 0.5;
      line(frame.left, at, right, at);
      pen.fillText(text, frame.left - 6, at);
    }
    pen.save();
    pen.translate(11, frame.top + high / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText("z₂", 0, 0);
    pen.restore();
  }

  ring(pen) {
    const { x, y, label, colours, markers } = this.data;
    const i = this.current;
    trace(pen, markers[label[i]], this.toX(x[i]), this.toY(y[i]), this.radius + 2.5);
    pen.fillStyle = colours[label[i]];
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = getComputedStyle(document.body).color;
    pen.stroke();
  }

  nearest(event, reach) {
    const box = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    return this.best((dx, dy) => (Math.hypot(dx, dy) <= reach ? Math.hypot(dx, dy) : Infinity), px, py);
  }

  /* The visible point of least cost, a function of its distance from a place in pixels; −1 where none is finite. */
  best(cost, px, py, except = -1) {
    const { x, y, label } = this.data;
    let [found, least] = [-1, Infinity];
    for (let i = 0; i < x.length; i++) {
      if (i === except || this.hidden.has(label[i])) continue;
      const value = cost(this.toX(x[i]) - px, this.toY(y[i]) - py);
      if (value < least) [found, least] = [i, value];
    }
    return found;
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") this.point(-1);
    if (!way) return;
    event.preventDefault();
    const { frame, wide, high } = this.size;
    const from = this.current;
    if (from < 0) return this.point(this.best(Math.hypot, frame.left + wide / 2, frame.top + high / 2), true);
    const cost = (dx, dy) => {
      const along = dx * way[0] + dy * way[1];
      const across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      return along > 0.5 && across <= 1.5 * along ? along + 2 * across : Infinity;
    };
    const next = this.best(cost, this.toX(this.data.x[from]), this.toY(this.data.y[from]), from);
    if (next >= 0) this.point(next, true);
  }

  point(i, aloud = false) {
    const before = this.current;
    this.current = i;
    if (i !== before) this.draw();
    this.tip.hidden = i < 0;
    this.canvas.dataset.point = String(i);
    if (i < 0) return;
    const { x, y, label, names, sprite } = this.data;
    const scale = Math.max(1, Math.floor(84 / Math.max(sprite.width, sprite.height)));
    this.tile.width = sprite.width;
    this.tile.height = sprite.height;
    this.tile.style.width = `${sprite.width * scale}px`;
    this.tile.style.height = `${sprite.height * scale}px`;
    const [column, row] = [i % sprite.columns, Math.floor(i / sprite.columns)];
    const area = [sprite.width, sprite.height];
    if (this.sprite.complete && this.sprite.naturalWidth) {
      this.tile.getContext("2d").drawImage(this.sprite, column * area[0], row * area[1], ...area, 0, 0, ...area);
    }
    const number = (value) => value.toFixed(2).replace("-", "−");
    const place = `z = (${number(x[i])}, ${number(y[i])})`;
    this.words.replaceChildren(make("b", {}, names[label[i]]), make("span", {}, place));
    if (aloud) this.spoken.textContent = `${names[label[i]]}, ${place}`;
    const [px, py] = [this.toX(x[i]), this.toY(y[i])];
    const [w, h] = [this.tip.offsetWidth, this.tip.offsetHeight];
    /* To the right of the point, or to its left; where neither has room, above or below it. */
    const gap = 14;
    let [left, top] = [px + gap, py - h / 2];
    if (left + w > this.size.width) left = px - gap - w;
    if (left < 0) [left, top] = [px - w / 2, py - gap - h < 0 ? py + gap : py - gap - h];
    this.tip.style.left = `${Math.max(0, Math.min(left, this.size.width - w))}px`;
    this.tip.style.top = `${Math.max(0, Math.min(top, this.size.height - h))}px`;
  }
}

theme();
document.addEventListener("DOMContentLoaded", () => {
  contents();
  copying();
  enlarging();
  for (const figure of document.querySelectorAll("figure.plane")) new Plane(figure);
});
