// A picture to paint in. What is painted is a mask of the picture's own size, one byte a pixel; its value is a PNG file
// (white = painted) as a data address, "" while nothing is painted. props: picture, wide, tall, brush, ink.
const canvas = element.querySelector("canvas");
const page = canvas.getContext("2d");
const slider = element.querySelector("input[type=range]");
const said = element.querySelector(".painter-said");
const layer = document.createElement("canvas");
let wide, tall, mask, image = null, stroke = null, cursor = null, undone = [], shown = null;

function sized(w, h) {
  wide = w; tall = h;
  mask = new Uint8Array(w * h);
  undone = [];
  const factor = Math.max(1, Math.ceil(560 / Math.max(w, h)));  // small pictures are shown in large pixels
  canvas.width = w * factor; canvas.height = h * factor;
  canvas.style.maxWidth = Math.round(420 * Math.min(1, w / h)) + "px";
  layer.width = w; layer.height = h;
  page.imageSmoothingEnabled = false;
  cursor = null;
}

function show() {
  page.fillStyle = "#fff";
  page.fillRect(0, 0, canvas.width, canvas.height);
  if (image) page.drawImage(image, 0, 0, canvas.width, canvas.height);
  const context = layer.getContext("2d"), pixels = context.createImageData(wide, tall);
  const tint = props.ink ? [20, 20, 20, 255] : [240, 125, 20, 190];
  for (let i = 0; i < mask.length; i++) if (mask[i]) pixels.data.set(tint, 4 * i);
  context.putImageData(pixels, 0, 0);
  page.drawImage(layer, 0, 0, canvas.width, canvas.height);
  if (cursor && document.activeElement === canvas) {
    const scale = canvas.width / wide;
    page.strokeStyle = "#1f6fb2"; page.lineWidth = 3;
    page.strokeRect((cursor[0] - radius()) * scale, (cursor[1] - radius()) * scale, 2 * radius() * scale, 2 * radius() * scale);
  }
}

function radius() { return Number(slider.value) / 2; }

function dab(x, y) {
  const r = radius();
  for (let row = Math.max(0, Math.floor(y - r)); row < Math.min(tall, y + r); row++)
    for (let column = Math.max(0, Math.floor(x - r)); column < Math.min(wide, x + r); column++)
      if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= Math.max(r * r, 0.5)) mask[row * wide + column] = 1;
}

function line(from, to) {
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, radius())));
  for (let i = 0; i <= steps; i++)
    dab(from[0] + (to[0] - from[0]) * i / steps, from[1] + (to[1] - from[1]) * i / steps);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * wide / box.width, (event.clientY - box.top) * tall / box.height];
}

function keep() { undone.push(mask.slice()); if (undone.length > 30) undone.shift(); }

function tell() {
  const count = mask.reduce((sum, one) => sum + one, 0);
  if (!props.ink) said.textContent = count ? Math.max(1, Math.round(100 * count / mask.length)) + " % is hidden" : "nothing is hidden yet";
  shown = count ? file() : "";
  props.value = shown;
  trigger("change");
}

function file() {
  const context = layer.getContext("2d"), pixels = context.createImageData(wide, tall);
  for (let i = 0; i < mask.length; i++) {
    const on = props.ink ? !mask[i] : mask[i];  // ink is black on white paper
    pixels.data.set(on ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
  return layer.toDataURL("image/png");
}

function load() {
  if (!props.picture) {
    image = null;
    sized(props.wide || 280, props.tall || 280);
    slider.value = props.brush || Math.max(1, Math.round(Math.max(wide, tall) / 7));
    show();
    return;
  }
  const fresh = new Image();
  fresh.onload = () => {
    image = fresh;
    sized(fresh.naturalWidth, fresh.naturalHeight);
    slider.max = Math.max(2, Math.round(Math.max(wide, tall) / 2));
    slider.value = Math.max(1, Math.round(Math.max(wide, tall) / 7));
    show();
    if (shown) tell(); else said.textContent = props.ink ? "" : "nothing is hidden yet";
  };
  fresh.src = props.picture;
}

canvas.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  keep();
  cursor = null;
  stroke = place(event);
  line(stroke, stroke);
  show();
});
canvas.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  for (const one of event.getCoalescedEvents ? [...event.getCoalescedEvents(), event] : [event]) {
    const next = place(one);
    line(stroke, next);
    stroke = next;
  }
  show();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => { if (stroke) { stroke = null; tell(); } });
canvas.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in ways) {
    const step = Math.max(1, radius());
    cursor = cursor || [wide / 2, tall / 2];
    cursor = [Math.min(wide, Math.max(0, cursor[0] + step * ways[event.key][0])),
              Math.min(tall, Math.max(0, cursor[1] + step * ways[event.key][1]))];
  } else if (event.key === " ") {
    cursor = cursor || [wide / 2, tall / 2];
    keep();
    dab(cursor[0], cursor[1]);
    tell();
  } else return;
  event.preventDefault();
  show();
});
canvas.addEventListener("blur", show);
canvas.addEventListener("focus", show);
element.addEventListener("click", (event) => {
  const what = event.target.dataset ? event.target.dataset.does : "";
  if (what === "undo" && undone.length) mask = undone.pop();
  else if (what === "clear") { keep(); mask.fill(0); }
  else return;
  show();
  tell();
});
watch("picture", load);
load();
