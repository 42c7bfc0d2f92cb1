// The tab "Label": sends images, shows what comes back, and asks about pixels.

import { Viewer } from "./viewer.js";

const ROOT = new URL("../", import.meta.url);
const SESSION = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
const MOST_BARS = 20;
const PAUSE = 250; // ms after a slider of the CRF rests

const percent = (share) => {
  if (share >= 0.9995) return "100%";
  return share > 0 && share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
};
const thousands = (number) => number.toLocaleString("en-US");

export function start(element) {
  if (element.querySelector(".at-labeler")?.dataset.started) return;
  const find = (selector) => element.querySelector(selector);
  find(".at-labeler").dataset.started = "yes";
  const viewer = new Viewer(element);
  const state = { id: null, name: "image", told: null, pixel: null, turn: 0, look: 0 };
  new Labeling(find, viewer, state);
}

// A request whose error is a sentence.
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), { ...options, headers: { ...options.headers, "X-Session": SESSION } });
  } catch {
    throw new Error("The server does not answer; is it still running?");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error ?? `The server answers ${answer.status}.`);
}

class Labeling {
  constructor(find, viewer, state) {
    Object.assign(this, { find, viewer, state });
    this.listenForImages();
    this.listenForPixels();
    this.listenForPanel();
    addEventListener("pagehide", () => navigator.sendBeacon(new URL(`close?session=${SESSION}`, ROOT)));
  }

  listenForImages() {
    const drop = this.find(".at-stage"), input = this.find("input[type=file]");
    input.addEventListener("change", () => { if (input.files[0]) this.send(input.files[0]); input.value = ""; });
    for (const kind of ["dragenter", "dragover"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("at-over"); });
    }
    for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("at-over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.send(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
      if (file && this.find(".at-stage").offsetParent) this.send(file);
    });
    for (const button of this.find(".at-examples").querySelectorAll("button")) {
      button.addEventListener("click", () => this.label(`examples/${button.dataset.number}`, {}, button.title));
    }
    this.listenForCamera();
  }

  listenForCamera() {
    const button = this.find(".at-camera"), video = this.find("video");
    if (!navigator.mediaDevices?.getUserMedia) { // browsers give it to https and to this machine only
      button.hidden = true;
      return;
    }
    const stop = () => {
      video.srcObject?.getTracks().forEach((track) => track.stop());
      video.srcObject = null;
      this.find(".at-video").hidden = true;
      this.find(".at-drop").hidden = false;
    };
    button.addEventListener("click", async () => {
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      } catch {
        return this.complain("The camera cannot be used: there is none, or the browser was told not to.");
      }
      this.find(".at-drop").hidden = true;
      this.find(".at-video").hidden = false;
      await video.play();
    });
    this.find(".at-stop").addEventListener("click", stop);
    this.find(".at-shoot").addEventListener("click", () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      stop();
      canvas.toBlob((blob) => this.send(new File([blob], "camera.jpg")), "image/jpeg", 0.95);
    });
  }

  listenForPixels() {
    const frame = this.viewer.frame;
    frame.addEventListener("click", (event) => this.pick(...this.viewer.at(event)));
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Escape") this.unpick();
      if (!step || !this.state.told) return;
      event.preventDefault();
      const { width, height } = this.state.told, far = event.shiftKey ? 10 : 1;
      const [x, y] = this.state.pixel ?? [width >> 1, height >> 1];
      const clamp = (value, size) => Math.min(Math.max(value, 0), size - 1);
      this.pick(clamp(x + far * step[0], width), clamp(y + far * step[1], height));
    });
    this.find(".at-unpick").addEventListener("click", () => this.unpick());
    this.find(".at-heat").addEventListener("change", (event) => {
      this.viewer.setLooking(event.target.checked);
      if (event.target.checked && this.state.pixel && !this.state.hasHeat) this.pick(...this.state.pixel);
    });
  }

  listenForPanel() {
    const opacity = this.find(".at-opacity");
    const follow = () => {
      this.viewer.setOpacity(opacity.value / 100);
      opacity.nextElementSibling.value = `${opacity.value}%`;
    };
    opacity.addEventListener("input", follow);
    follow();
    this.find(".at-crf")?.addEventListener("change", () => this.refine());
    let timer;
    for (const slider of this.sliders()) {
      slider.addEventListener("input", () => {
        slider.nextElementSibling.value = slider.value;
        clearTimeout(timer);
        timer = setTimeout(() => this.refine(), PAUSE);
      });
    }
    for (const link of this.find(".at-files").querySelectorAll("a")) {
      link.addEventListener("click", () => this.address(link));
    }
  }

  sliders() { return this.find(".at-crf-settings")?.querySelectorAll("input[type=range]") ?? []; }

  send(file) {
    const form = new FormData();
    form.append("image", file, file.name);
    return this.label("label", { body: form }, file.name);
  }

  async label(path, options, name) {
    const turn = ++this.state.turn;
    this.state.sent = name;
    this.complain("");
    this.busy("Labeling");
    try {
      const told = await (await ask(path, { method: "POST", ...options })).json();
      const picture = await createImageBitmap(await (await ask(`${told.id}/image`)).blob());
      if (turn !== this.state.turn) return;
      Object.assign(this.state, { id: told.id, name, told, pixel: null });
      this.find(".at-shown").hidden = this.find(".at-panel").hidden = false;
      this.find(".at-drop").classList.add("at-slim");
      this.viewer.showImage(picture, told.width, told.height);
      this.unpick();
      if (this.find(".at-crf")) this.find(".at-crf").checked = false;
      this.find(".at-crf-settings").hidden = true;
      await this.showLabels(told);
      if (this.find(".at-crf")?.dataset.stored && !this.find(".at-crf-card").hidden) {
        this.find(".at-crf").checked = true; // as `atrous predict` does with a CRF that the checkpoint carries
        await this.refine();
      }
    } catch (error) {
      if (turn === this.state.turn) this.complain(error.message);
    } finally {
      if (turn === this.state.turn) this.busy("");
    }
  }

  async showLabels(told) {
    this.state.told = { ...this.state.told, ...told };
    const answer = await ask(`${this.state.id}/labels`);
    if (told.quantity) {
      this.viewer.showPicture(await createImageBitmap(await answer.blob()));
      this.showScale(told.quantity);
    } else {
      const labels = new Uint8Array(await answer.arrayBuffer());
      this.showLegend(told.classes);
      this.viewer.showLabels(labels, told.classes.map((each) => each.color));
    }
    const { width, height, seconds, engine } = this.state.told;
    const times = [`network ${seconds.toFixed(2)} s`];
    if (told.crf_seconds !== undefined) times.push(`CRF ${told.crf_seconds.toFixed(2)} s`);
    this.find(".at-facts").textContent = `${this.state.name} · ${width} × ${height} px · ${times.join(", ")} · ${engine}`;
  }

  showLegend(classes) {
    const list = this.find(".at-legend");
    const found = classes.filter((each) => each.pixels).sort((a, b) => b.pixels - a.pixels);
    const row = (each) => {
      const item = document.createElement("li"), label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !this.viewer.hidden.has(each.label) });
      box.dataset.label = each.label;
      box.addEventListener("change", () => this.viewer.setHidden(each.label, !box.checked));
      const swatch = Object.assign(document.createElement("span"), { className: "at-swatch" });
      swatch.style.background = each.color;
      const name = Object.assign(document.createElement("span"), { className: "at-name", textContent: each.name });
      const share = Object.assign(document.createElement("span"), { className: "at-share", textContent: percent(each.share) });
      label.append(box, swatch, name, share);
      item.append(label);
      return item;
    };
    list.replaceChildren(...found.map(row));
    const absent = classes.filter((each) => !each.pixels).map((each) => each.name);
    if (absent.length) {
      const item = document.createElement("li");
      Object.assign(item, { className: "at-absent", textContent: `not found: ${absent.join(", ")}` });
      list.append(item);
    }
    this.find(".at-all").replaceChildren(...["all", "none"].map((word) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "at-link", textContent: word });
      button.setAttribute("aria-label", `Show ${word === "all" ? "all classes" : "no class"}`);
      button.addEventListener("click", () => {
        for (const box of list.querySelectorAll("input")) {
          box.checked = word === "all";
          this.viewer.setHidden(Number(box.dataset.label), word !== "all");
        }
      });
      return button;
    }));
  }

  showScale(quantity) {
    const scale = this.find(".at-scale"), colors = scale.dataset.colors.split(" ");
    scale.hidden = false;
    scale.replaceChildren();
    const bar = Object.assign(document.createElement("div"), { className: "at-scale-bar" });
    bar.style.background = `linear-gradient(90deg, ${colors.join(", ")})`;
    const middle = Math.sqrt(quantity.low * quantity.high); // the scale is even in logarithms
    const ends = Object.assign(document.createElement("div"), { className: "at-row" });
    for (const value of [quantity.low, middle, quantity.high]) {
      ends.append(Object.assign(document.createElement("span"), { textContent: `${value.toPrecision(3)} ${quantity.unit}` }));
    }
    scale.append(bar, ends);
  }

  async pick(x, y) {
    const { id } = this.state, turn = ++this.state.look;
    Object.assign(this.state, { pixel: [x, y], hasHeat: false });
    try {
      const told = await (await ask(`${id}/pixel?x=${x}&y=${y}`)).json();
      if (turn !== this.state.look) return;
      this.viewer.markPixel(x, y, told.box);
      this.showPixel(told);
      if (!this.find(".at-heat").checked) return;
      this.find(".at-sight").textContent = `${this.boxWords(told)} Measuring what counts …`;
      const heat = await ask(`${id}/heat?x=${x}&y=${y}&channel=${told.label ?? 0}`).then((answer) => answer.json(), (error) => error);
      if (turn !== this.state.look) return;
      if (heat instanceof Error) {
        this.find(".at-sight").textContent = `${this.boxWords(told)} ${heat.message}`;
        return;
      }
      this.state.hasHeat = true;
      this.viewer.markHeat(heat);
      this.viewer.setLooking(this.find(".at-heat").checked);
      this.find(".at-sight").textContent = `${this.boxWords(told)} ${this.heatWords(told, heat)}`;
    } catch (error) {
      if (turn === this.state.look) this.complain(error.message);
    }
  }

  showPixel(told) {
    this.find(".at-pixel").hidden = false;
    this.find(".at-tip").hidden = true;
    const decision = this.find(".at-decision"), bars = this.find(".at-bars");
    if (told.value !== undefined) {
      decision.textContent = `(${told.x}, ${told.y}): ${told.value.toPrecision(4)} ${told.unit}`;
      bars.replaceChildren();
    } else {
      const chosen = told.classes.find((each) => each.label === told.label);
      decision.textContent = `(${told.x}, ${told.y}): ${chosen.name}`;
      const shown = told.classes.slice(0, MOST_BARS), rest = told.classes.slice(MOST_BARS);
      if (rest.length) {
        const left = rest.reduce((sum, each) => sum + each.probability, 0);
        shown.push({ name: `${rest.length} others`, color: "#888888", probability: left });
      }
      bars.replaceChildren(...shown.map((each) => {
        const item = document.createElement("li");
        const name = Object.assign(document.createElement("span"), { className: "at-name", textContent: each.name });
        const track = Object.assign(document.createElement("span"), { className: "at-track" });
        const bar = document.createElement("span");
        Object.assign(bar.style, { width: `${100 * each.probability}%`, background: each.color });
        track.append(bar);
        const share = Object.assign(document.createElement("span"), { className: "at-share", textContent: percent(each.probability) });
        item.append(name, track, share);
        return item;
      }));
    }
    this.find(".at-sight").textContent = this.boxWords(told);
  }

  boxWords(told) {
    if (!told.box) return "This decision can see the whole image.";
    const { left, top, width, height } = told.box;
    const isInside = left >= 0 && top >= 0 && left + width <= this.state.told.width && top + height <= this.state.told.height;
    const after = this.state.told.crf ? " The CRF after the network sees the whole image; box and heat are the network's." : "";
    return `This decision can see ${width} × ${height} px (${isInside ? "dashed" : "dashed; it reaches beyond the image"}).${after}`;
  }

  heatWords(told, heat) {
    const most = `${Math.round(100 * heat.share)}% of what moves it${heat.is_whole ? "" : " there"} lies in ${thousands(heat.pixels)} px`;
    const area = told.box ? told.box.width * told.box.height : this.state.told.width * this.state.told.height;
    const part = heat.is_whole ? `, ${percent(heat.pixels / area)} of that.` : ".";
    const limit = heat.is_whole ? "" : `To stay quick, only ${heat.window[1]} × ${heat.window[0]} px around it were measured.`;
    return heat.is_whole ? most + part : `${limit} ${most}${part}`;
  }

  unpick() {
    this.state.look++;
    this.state.pixel = null;
    this.viewer.clear();
    this.find(".at-pixel").hidden = true;
    this.find(".at-tip").hidden = false;
  }

  async refine() {
    const box = this.find(".at-crf"), id = this.state.id, turn = (this.crfTurn = (this.crfTurn ?? 0) + 1);
    this.find(".at-crf-settings").hidden = !box.checked;
    const settings = { on: box.checked };
    for (const slider of this.sliders()) settings[slider.name] = Number(slider.value);
    this.busy(box.checked ? "Refining" : "");
    this.complain("");
    try {
      const told = await (await ask(`${id}/crf`, { method: "POST", body: JSON.stringify(settings) })).json();
      if (turn !== this.crfTurn || id !== this.state.id) return;
      delete this.state.told.crf_seconds;
      await this.showLabels(told);
      if (this.state.pixel) await this.pick(...this.state.pixel);
    } catch (error) {
      if (turn === this.crfTurn) {
        this.complain(error.message);
        if (box.checked && !this.state.told.crf) { // refused: nothing was refined
          box.checked = false;
          this.find(".at-crf-settings").hidden = true;
        }
      }
    } finally {
      if (turn === this.crfTurn) this.busy("");
    }
  }

  address(link) {
    const opacity = this.find(".at-opacity").value / 100, hidden = [...this.viewer.hidden].join(",");
    link.href = new URL(`${this.state.id}/files/${link.dataset.file}?opacity=${opacity}&hidden=${hidden}`, ROOT);
    const stem = this.state.name.replace(/\.[^.]*$/, "").replace(/\s+/g, "_");
    link.download = `${stem}.${link.dataset.file}`;
  }

  busy(word) {
    const cover = this.find(".at-busy");
    cover.hidden = !word;
    cover.firstElementChild.textContent = word ? `${word} …` : "";
    this.find(".at-stage").setAttribute("aria-busy", word ? "true" : "false");
    this.find(".at-drop").classList.toggle("at-waiting", !!word);
  }

  complain(sentence) {
    const alert = this.find(".at-alert");
    alert.hidden = !sentence;
    const isName = this.state.sent && sentence.startsWith(this.state.sent);
    alert.textContent = isName ? sentence : sentence && sentence[0].toUpperCase() + sentence.slice(1);
  }
}
