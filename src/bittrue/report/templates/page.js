"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = JSON.parse($("#data").textContent);
  const root = document.documentElement;

  /* Light or dark: the system's choice until the button says otherwise. */
  const recall = (value) => {
    try {
      if (value) localStorage.setItem("bittrue-theme", value);
      return localStorage.getItem("bittrue-theme");
    } catch { return null; }
  };
  const kept = recall();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  const flip = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    recall(root.dataset.theme);
  };
  $("#theme").addEventListener("click", flip);
  const keys = $("#keys");
  const help = () => (keys.open ? keys.close() : keys.showModal());
  $("#help").addEventListener("click", help);

  for (const button of $$(".copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText($("code", button.parentElement).textContent.trimEnd());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  /* Before and after in one: the same two pictures, and a line between them that can be moved. */
  for (const shots of $$("[data-swipe]")) {
    const [mine, theirs] = $$(".shot", shots);
    const [below, above] = [mine, theirs].map((shot) => $("img", shot).cloneNode());
    const names = [mine, theirs].map((shot) => $("span", shot).textContent);
    const line = document.createElement("input"), frame = document.createElement("div"), shot = document.createElement("div"), told = document.createElement("span");
    Object.assign(line, { type: "range", min: 0, max: 100, value: 50 });
    line.setAttribute("aria-label", `How much of ${names[0]} covers ${names[1]}`);
    above.alt = below.alt = "";
    frame.className = "swipe";
    shot.className = "shot";
    told.textContent = `${names[0]} | ${names[1]}, move the line`;
    const move = () => {
      below.style.clipPath = `inset(0 ${100 - line.value}% 0 0)`;
      frame.style.setProperty("--at", `${line.value}%`);
    };
    line.addEventListener("input", move);
    move();
    frame.append(above, below, line);
    shot.append(frame, told);
    shots.append(shot);
  }

  addEventListener("beforeprint", () => { for (const folded of $$("details")) folded.open = true; });

  const section = $("#layers");
  if (!section) {
    addEventListener("keydown", (event) => {
      if (plain(event) && event.key === "t") flip();
      if (plain(event) && event.key === "?") help();
    });
    return;
  }

  /* Elements: texts only ever go in as text. */
  const make = (tag, options = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const graph = $("#graph"), canvas = $("#canvas"), card = $("#card"), table = $("#table");
  const shape = (tag, attributes) => {
    const element = document.createElementNS(graph.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const nodes = $$(".n", graph), bars = $$(".b", $("#strip"));
  const rows = $$("tbody tr", table);
  const byNumber = new Map(rows.map((row) => [Number(row.dataset.i), row]));
  const edges = $$(".edges path", graph).map((path) => [path, ...path.dataset.e.split(" ").map(Number)]);
  const layers = data.layers.map((layer) => ({ ...data.left_out, ...layer }));
  const feeds = layers.map(() => []);
  layers.forEach((layer, at) => layer.r.forEach((other) => feeds[other].push(at)));
  const words = layers.map((layer) => [layer.n, layer.op, layer.t, ...layer.o, ...layer.q].join(" ").toLowerCase());
  let chosen = -1;
  let hits = layers.map((_, at) => at);

  /* The card. */
  const tidy = (value) => (value === null || value === undefined ? "–" : String(value));
  const stepped = (heights, close) => {
    const wide = 100 / heights.length;
    let path = close ? "M0 100" : `M0 ${100 - heights[0]}`;
    heights.forEach((height, at) => { path += `L${(at * wide).toFixed(2)} ${100 - height}L${((at + 1) * wide).toFixed(2)} ${100 - height}`; });
    return close ? `${path}L100 100Z` : path;
  };
  const histogram = (layer) => {
    const [low, high, mine, theirs] = layer.h;
    const picture = shape("svg", { class: "hist", viewBox: "0 -6 100 106", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${data.reference} and ${data.other}` });
    picture.append(shape("path", { class: "m", d: stepped(mine, true) }), shape("path", { class: "t", d: stepped(theirs, false) }));
    return [
      make("p", { class: "label" }, "values, counts on a log scale"), picture,
      make("div", { class: "axis" }, make("span", {}, tidy(low)), make("span", {}, tidy(high))),
      make("div", { class: "sides" }, make("span", {}, make("i", { class: "m" }), data.reference), make("span", {}, make("i", { class: "t" }), data.other)),
    ];
  };
  const spreads = (layer) => {
    const head = make("tr", {}, ...["", "min", "max", "mean", "std"].map((name) => make("th", { class: "num", scope: "col" }, name)));
    const line = (name, side) => make("tr", {}, make("th", { scope: "row" }, name), ...side.map((value) => make("td", { class: "num" }, tidy(value))));
    return make("table", { class: "figure-table" }, make("thead", {}, head), make("tbody", {}, line(data.reference, layer.a), line(data.other, layer.b)));
  };
  const shares = (layer) => {
    const bar = make("div", { class: "shares", role: "img", "aria-label": "What the error is made of" });
    const list = make("ul", { class: "parts" });
    layer.e.forEach((percent, kind) => {
      const name = data.shares[kind];
      if (percent > 0) bar.append(make("i", { class: `s${kind}`, style: `width:${percent}%`, title: name }));
      list.append(make("li", {}, make("i", { class: `sw s${kind}` }), name, make("b", {}, `${String(percent).replace("-", "−")} %`)));
    });
    return [make("p", { class: "label" }, "what its error is made of"), bar, list];
  };
  const near = (title, list) => {
    if (!list.length) return [];
    const buttons = list.map((at) => {
      const button = make("button", { type: "button", title: layers[at].n }, layers[at].n);
      button.addEventListener("click", () => choose(at));
      return button;
    });
    return [make("p", { class: "label" }, title), make("div", { class: "near" }, ...buttons)];
  };
  const figure = (name, text, level) => make("div", { class: `l${level}` }, make("span", { class: "soft small" }, name), make("b", {}, text));
  const filled = (at) => {
    const layer = layers[at];
    const facts = make("dl", { class: "kv" });
    const rest = [["tensor", layer.t], ["source layers", layer.o.join(", ")], ["source tensors", layer.q.join(", ")]];
    for (const [name, value] of [...layer.k, ...rest.filter((pair) => pair[1])]) facts.append(make("dt", {}, name), make("dd", {}, value));
    const parts = [
      make("h3", {}, layer.n),
      make("p", { class: "soft small" }, `${layer.op}, ${layer.s}, layer ${at}`),
      make("div", { class: "pair" }, figure("path error", layer.p, layer.pl), figure("own error", layer.w, layer.wl)),
    ];
    if (layer.x) parts.push(make("p", { class: "soft small" }, layer.x));
    if (layer.e.length) parts.push(...shares(layer));
    if (layer.h) parts.push(...histogram(layer), spreads(layer));
    if (facts.childElementCount) parts.push(make("p", { class: "label" }, "more"), facts);
    return parts;
  };

  /* Choosing a layer: graph, strip, table and card go together. */
  const zoomed = () => Number(graph.getAttribute("width")) / graph.viewBox.baseVal.width;
  const centre = (at) => {
    const box = nodes[at].transform.baseVal.consolidate().matrix, scale = zoomed();
    canvas.scrollTo({ left: box.e * scale + graph.getBoundingClientRect().left - canvas.getBoundingClientRect().left + canvas.scrollLeft + 78 * scale - canvas.clientWidth / 2, top: (box.f + 19) * scale + 16 - canvas.clientHeight / 2 });
  };
  const choose = (at, still) => {
    if (chosen >= 0) for (const element of [nodes[chosen], bars[chosen], byNumber.get(chosen)]) element?.classList.remove("sel");
    chosen = at;
    for (const [path, one, two] of edges) path.classList.toggle("sel", one === at || two === at);
    if (at < 0) {
      card.replaceChildren(make("p", { class: "soft" }, "Choose a layer."));
      return;
    }
    for (const element of [nodes[at], bars[at], byNumber.get(at)]) element?.classList.add("sel");
    card.replaceChildren(...filled(at), ...near("reads", layers[at].r), ...near("read by", feeds[at]));
    card.scrollTop = 0;
    if (!still) centre(at);
    const row = byNumber.get(at), box = row?.closest(".table");
    if (!row) return;
    if (row.offsetTop < box.scrollTop + 32 || row.offsetTop > box.scrollTop + box.clientHeight - 40) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  };
  const step = (by) => {
    if (!hits.length) return;
    const here = hits.indexOf(chosen);
    const next = here < 0 ? (by > 0 ? hits.find((at) => at > chosen) ?? hits[0] : hits.findLast((at) => at < chosen) ?? hits.at(-1)) : hits[(here + by + hits.length) % hits.length];
    choose(next);
    section.querySelector(".split").scrollIntoView({ block: "nearest" });
  };
  const worst = () => {
    const by = section.dataset.by === "own" ? "wv" : "pv";
    const found = hits.filter((at) => layers[at][by] !== null);
    return found.length ? found.reduce((one, two) => (layers[two][by] < layers[one][by] ? two : one)) : hits[0] ?? -1;
  };
  document.addEventListener("click", (event) => {
    const go = event.target.closest("[data-go]");
    if (!go) return;
    choose(Number(go.dataset.go));
    if (!table.contains(go)) return;
    event.preventDefault();
    section.querySelector(".split").scrollIntoView({ block: "nearest" });
  });
  for (const place of [graph, $("#strip")]) {
    place.addEventListener("click", (event) => {
      const found = event.target.closest("[data-i]");
      if (found && !moved) choose(Number(found.dataset.i), place === graph);
    });
  }

  /* Search. */
  const search = $("#search");
  const look = () => {
    const wanted = search.value.toLowerCase().split(" ").filter(Boolean);
    hits = layers.map((_, at) => at).filter((at) => wanted.every((word) => words[at].includes(word)));
    const found = new Set(hits);
    layers.forEach((_, at) => {
      const off = !found.has(at);
      nodes[at].classList.toggle("off", off);
      bars[at].classList.toggle("off", off);
      if (byNumber.has(at)) byNumber.get(at).hidden = off;
    });
    $("#hits").textContent = wanted.length ? `${hits.length} of ${layers.length}` : "";
  };
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { step(event.shiftKey ? -1 : 1); event.preventDefault(); }
    if (event.key === "Escape") { search.value = ""; look(); search.blur(); event.preventDefault(); event.stopPropagation(); }
  });

  /* Path or own error. */
  const colour = (by) => {
    const button = $(`input[name=by][value=${by}]`, section);
    if (button.disabled) return;
    button.checked = true;
    section.dataset.by = by;
  };
  for (const button of $$("input[name=by]", section)) button.addEventListener("change", () => colour(button.value));

  /* Zoom and drag. */
  const whole = graph.viewBox.baseVal;
  const zoom = (scale, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
    const before = zoomed(), after = Math.min(3, Math.max(0.03, scale));
    const left = (canvas.scrollLeft + x) / before, top = (canvas.scrollTop + y) / before;
    graph.setAttribute("width", whole.width * after);
    graph.setAttribute("height", whole.height * after);
    canvas.scrollTo({ left: left * after - x, top: top * after - y, behavior: "instant" });
  };
  const fit = () => zoom(Math.min((canvas.clientWidth - 24) / whole.width, (canvas.clientHeight - 40) / whole.height, 1.25));
  const zooms = { in: () => zoom(zoomed() * 1.3), out: () => zoom(zoomed() / 1.3), fit, one: () => { zoom(1); if (chosen >= 0) centre(chosen); } };
  for (const button of $$("[data-zoom]", section)) button.addEventListener("click", () => zooms[button.dataset.zoom]());
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(zoomed() * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let held = null, moved = false;
  canvas.addEventListener("pointerdown", (event) => {
    moved = false;
    if (event.pointerType === "mouse" && event.button === 0) held = [event.clientX + canvas.scrollLeft, event.clientY + canvas.scrollTop, event.clientX, event.clientY];
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    if (!moved && Math.hypot(event.clientX - held[2], event.clientY - held[3]) < 5) return;
    moved = true;
    canvas.classList.add("drag");
    canvas.scrollTo({ left: held[0] - event.clientX, top: held[1] - event.clientY, behavior: "instant" });
  });
  addEventListener("pointerup", () => { held = null; canvas.classList.remove("drag"); });

  /* The table. */
  const cell = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const sort = (button) => {
    const column = Number(button.dataset.sort), head = button.parentElement;
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const numeric = column === 0 || column >= 4 && column <= 6;
    const number = (text) => (text === "" || Number.isNaN(Number(text.replaceAll(",", ""))) ? Infinity : Number(text.replaceAll(",", "")));
    const order = (one, two) => (numeric ? number(cell(one, column)) - number(cell(two, column)) || 0 : cell(one, column).localeCompare(cell(two, column)));
    table.tBodies[0].append(...rows.toSorted((one, two) => (ascending ? order(one, two) : order(two, one))));
  };
  for (const button of $$("[data-sort]", table)) button.addEventListener("click", () => sort(button));

  /* Keys. */
  function plain(event) {
    return !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input:not([type=radio]), textarea, dialog");
  }
  const actions = {
    "/": () => { search.focus(); search.select(); }, j: () => step(1), k: () => step(-1), w: () => choose(worst()), t: flip, "?": help,
    p: () => colour("path"), o: () => colour("own"), "+": zooms.in, "=": zooms.in, "-": zooms.out, 0: fit,
    Escape: () => { if (search.value) { search.value = ""; look(); } else choose(-1); },
  };
  addEventListener("keydown", (event) => {
    const action = plain(event) && !keys.open && actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  /* At first: the layer that adds the most error; on paper: the worst of them. */
  const start = worst();
  if (whole.width * 1 > canvas.clientWidth * 1.6) zoom(0.7);
  if (start >= 0) choose(start);
  const by = data.own ? "wv" : "pv";
  const ranked = layers.map((_, at) => at).filter((at) => layers[at][by] !== null).sort((one, two) => layers[one][by] - layers[two][by]);
  $("#sheets").append(...ranked.slice(0, 9).map((at) => make("div", { class: "sheet" }, ...filled(at))));
})();
