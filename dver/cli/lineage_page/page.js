
"use strict";
// Draws the graph that the page holds as JSON. Nothing of it becomes markup: text is set as text, or painted.
(() => {
  const COLUMN = 310, ROW = 76, WIDTH = 236, HEIGHT = 50, MOST_ZOOM = 4, READABLE = 0.34, OVERVIEW = 0.26, COMFORTABLE = 0.6, MOST_LISTED = 100;
  const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  const HEADINGS = {
    in: { used: "Used", made: "Made by", part: "Part of", same: "Same content as", more: "Left out" },
    out: { used: "Used by", made: "Made", part: "Its parts", same: "Same content as", more: "Left out" },
  };

  const byId = (id) => document.getElementById(id);
  const graph = JSON.parse(byId("graph").textContent);
  const canvas = byId("graph-view");
  const pen = canvas.getContext("2d");
  const system = matchMedia("(prefers-color-scheme: dark)");

  const nodes = graph.nodes.map((node, index) => ({
    ...node, index, x: node.column * COLUMN, y: node.row * ROW, into: [], outof: [],
  }));
  const edges = graph.edges.map(([source, target, kind, bends]) => {
    const edge = { source: nodes[source], target: nodes[target], kind, bends: bends || [] };
    edge.source.outof.push(edge);
    edge.target.into.push(edge);
    const rows = [edge.source.row, edge.target.row, ...edge.bends];
    edge.left = Math.min(edge.source.x, edge.target.x) - 130;
    edge.right = Math.max(edge.source.x, edge.target.x) + WIDTH + 130;
    edge.top = Math.min(...rows) * ROW - ROW;
    edge.bottom = Math.max(...rows) * ROW + HEIGHT + 2 * ROW;
    return edge;
  });
  const columns = new Map();
  for (const node of nodes) {
    if (!columns.has(node.column)) columns.set(node.column, []);
    columns.get(node.column).push(node);
  }
  for (const column of columns.values()) column.sort((one, other) => one.row - other.row);
  const start = nodes[graph.start];
  const bounds = nodes.reduce(
    (all, node) => ({
      right: Math.max(all.right, node.x + WIDTH), bottom: Math.max(all.bottom, node.y + HEIGHT),
    }),
    { right: 0, bottom: 0 },
  );

  // The point of the graph at the top left of the view, and how many pixels a unit of it has.
  const view = { x: 0, y: 0, scale: 1 };
  let colors = {}, selected = null, related = null, matches = null, current = -1, isQueued = false;

  // ------------------------------------------------------------------ words

  const two = (number) => String(number).padStart(2, "0");

  function localTime(text, seconds) {
    const when = new Date(text);
    if (Number.isNaN(when.getTime())) return text;
    const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
    return `${day} ${two(when.getHours())}:${two(when.getMinutes())}${seconds ? `:${two(when.getSeconds())}` : ""}`;
  }

  const subtitle = (node) => (node.time ? `${node.detail}, ${localTime(node.time)}` : node.detail);

  function allText(node) {
    if (node.words === undefined) {
      const facts = node.facts.map(([label, text]) => `${label} ${text}`);
      node.words = [node.label, subtitle(node), ...facts].join("\n").toLowerCase();
    }
    return node.words;
  }

  // --------------------------------------------------------------- painting

  function readColors() {
    const style = getComputedStyle(document.documentElement);
    const names = ["back", "text", "faint", "edge", "strong", "found"];
    for (const kind of ["dataset", "source", "code", "run", "failed"]) names.push(kind, `${kind}-line`);
    colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const theme = document.documentElement.dataset.theme;
    const isDark = theme ? theme === "dark" : system.matches;
    byId("theme").textContent = isDark ? "Light" : "Dark";
    queue();
  }

  function queue() {
    if (isQueued) return;
    isQueued = true;
    requestAnimationFrame(() => {
      isQueued = false;
      draw();
    });
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colors.back;
    pen.fillRect(0, 0, wide, high);
    const seen = {
      left: view.x, top: view.y, right: view.x + wide / view.scale, bottom: view.y + high / view.scale,
    };
    drawEdges(seen);
    drawNodes(seen);
    byId("zoom").textContent = `${view.scale < 0.1 ? (view.scale * 100).toFixed(1) : Math.round(view.scale * 100)} %`;
  }

  function tone(edge) {
    if (related) {
      const { up, down } = related;
      const isOnWay = (up.has(edge.source) && up.has(edge.target)) || (down.has(edge.source) && down.has(edge.target));
      return isOnWay ? "strong" : "faint";
    }
    return matches ? "faint" : "plain";
  }

  function drawEdges(seen) {
    const kinds = new Map();
    for (const edge of edges) {
      if (edge.right < seen.left || edge.left > seen.right || edge.bottom < seen.top || edge.top > seen.bottom) continue;
      const isDashed = edge.kind === "part" || edge.kind === "same" || edge.kind === "more";
      const key = `${tone(edge)} ${isDashed ? "dashed" : ""}`;
      if (!kinds.has(key)) kinds.set(key, []);
      kinds.get(key).push(edge);
    }
    for (const key of [...kinds.keys()].sort()) {
      const [strength, dash] = key.split(" ");
      pen.globalAlpha = strength === "faint" ? 0.3 : 1;
      pen.strokeStyle = pen.fillStyle = strength === "strong" ? colors.strong : colors.edge;
      pen.lineWidth = Math.max(0.6, (strength === "strong" ? 2.2 : 1.4) * Math.min(1, view.scale));
      pen.setLineDash(dash && view.scale > 0.2 ? [6 * view.scale, 4 * view.scale] : []);
      pen.beginPath();
      for (const edge of kinds.get(key)) trace(edge);
      pen.stroke();
      pen.setLineDash([]);
      if (view.scale > READABLE) for (const edge of kinds.get(key)) drawHead(edge);
    }
    pen.globalAlpha = 1;
  }

  const toX = (x) => (x - view.x) * view.scale;
  const toY = (y) => (y - view.y) * view.scale;

  function trace(edge) {
    const { source, target, bends } = edge;
    let x = source.x + WIDTH, y = source.y + HEIGHT / 2;
    const goalX = target.x, goalY = target.y + HEIGHT / 2;
    pen.moveTo(toX(x), toY(y));
    if (target.column <= source.column) {
      // It closes a cycle, and goes around below.
      const low = Math.max(y, goalY) + ROW * 1.3;
      pen.bezierCurveTo(toX(x + 120), toY(low), toX(goalX - 120), toY(low), toX(goalX), toY(goalY));
      return;
    }
    bends.forEach((row, number) => {
      const left = (source.column + 1 + number) * COLUMN, middle = row * ROW + HEIGHT / 2;
      curve(x, y, left, middle);
      pen.lineTo(toX(left + WIDTH), toY(middle));
      x = left + WIDTH;
      y = middle;
    });
    curve(x, y, goalX, goalY);
  }

  function curve(x, y, goalX, goalY) {
    if (view.scale < 0.12) {
      pen.lineTo(toX(goalX), toY(goalY));
      return;
    }
    const bow = Math.min(300, Math.max(30, (goalX - x) * 0.5));
    pen.bezierCurveTo(toX(x + bow), toY(y), toX(goalX - bow), toY(goalY), toX(goalX), toY(goalY));
  }

  function drawHead(edge) {
    const x = toX(edge.target.x), y = toY(edge.target.y + HEIGHT / 2), size = 7 * view.scale;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x - size * 1.3, y - size * 0.6);
    pen.lineTo(x - size * 1.3, y + size * 0.6);
    pen.fill();
  }

  function drawNodes(seen) {
    const first = Math.floor((seen.left - WIDTH) / COLUMN), last = Math.ceil(seen.right / COLUMN);
    pen.direction = "ltr";
    pen.textBaseline = "middle";
    const some = last - first > columns.size ? [...columns.keys()] : range(first, last);
    for (const number of some) {
      const column = columns.get(number) || [];
      for (let place = firstBelow(column, seen.top - HEIGHT); place < column.length; place += 1) {
        if (column[place].y > seen.bottom) break;
        drawNode(column[place]);
      }
    }
    pen.globalAlpha = 1;
  }

  const range = (first, last) => Array.from({ length: last - first + 1 }, (_, number) => first + number);

  function firstBelow(column, top) {
    let low = 0, high = column.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (column[middle].y < top) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function isFaint(node) {
    if (node === selected) return false;
    if (matches && !matches.set.has(node)) return true;
    return Boolean(related && !matches && !related.up.has(node) && !related.down.has(node));
  }

  function drawNode(node) {
    const { scale } = view, x = toX(node.x), y = toY(node.y), wide = Math.max(1, WIDTH * scale), high = Math.max(1, HEIGHT * scale);
    pen.globalAlpha = isFaint(node) ? 0.28 : 1;
    const isFound = matches && matches.set.has(node);
    pen.fillStyle = node.look === "more" ? colors.back : colors[node.look];
    pen.strokeStyle = isFound ? colors.found : node.look === "more" ? colors.edge : colors[`${node.look}-line`];
    if (node === selected) pen.strokeStyle = colors.strong;
    const isBold = node === selected || node === start || isFound;
    pen.lineWidth = Math.max(0.5, (isBold ? 2.8 : 1.4) * Math.min(1, scale));
    if (scale < 0.12) {
      pen.fillStyle = isBold || isFound ? pen.strokeStyle : colors[`${node.look}-line`] || colors.edge;
      pen.fillRect(x, y, wide, high);
      return;
    }
    pen.beginPath();
    pen.roundRect(x, y, wide, high, (node.type === "run" ? 22 : 5) * scale);
    pen.fill();
    if (node.look === "more") pen.setLineDash([4 * scale, 3 * scale]);
    pen.stroke();
    pen.setLineDash([]);
    if (scale >= READABLE) drawText(node, x, y, high);
  }

  function drawText(node, x, y, high) {
    const { scale } = view, inset = (node.type === "run" ? 16 : 11) * scale;
    if (!node.short) {
      const room = WIDTH - (node.type === "run" ? 32 : 22);
      node.short = [shorten(node.label, `600 13px ${FONT}`, room), shorten(subtitle(node), `12px ${FONT}`, room)];
    }
    const [label, detail] = node.short;
    pen.fillStyle = colors.text;
    pen.font = `600 ${13 * scale}px ${FONT}`;
    pen.fillText(label, x + inset, y + high * (detail ? 0.33 : 0.5));
    pen.fillStyle = colors.faint;
    pen.font = `${12 * scale}px ${FONT}`;
    pen.fillText(detail, x + inset, y + high * 0.71);
  }

  // Leaves out the middle, for paths are told apart by their ends.
  function shorten(text, font, room) {
    pen.font = font;
    if (pen.measureText(text).width <= room) return text;
    const letters = [...text].slice(0, 400);
    let low = 0, high = letters.length;
    const cut = (kept) => `${letters.slice(0, Math.ceil(kept / 2)).join("")}\u2026${kept < 2 ? "" : letters.slice(-Math.floor(kept / 2)).join("")}`;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (pen.measureText(cut(middle)).width <= room) low = middle;
      else high = middle - 1;
    }
    return cut(low);
  }

  // ----------------------------------------------------------------- moving

  const fitting = () =>
    Math.min(canvas.clientWidth / (bounds.right + 60), canvas.clientHeight / (bounds.bottom + 60), 1.2);

  const leastZoom = () => Math.min(0.1, fitting() * 0.7);

  function zoomTo(scale, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const bounded = Math.min(MOST_ZOOM, Math.max(leastZoom(), scale));
    view.x += x / view.scale - x / bounded;
    view.y += y / view.scale - y / bounded;
    view.scale = bounded;
    queue();
  }

  function showAll() {
    view.scale = fitting();
    view.x = (bounds.right - canvas.clientWidth / view.scale) / 2;
    view.y = (bounds.bottom - canvas.clientHeight / view.scale) / 2;
    queue();
  }

  function center(node, scale) {
    if (scale) view.scale = scale;
    view.x = node.x + WIDTH / 2 - canvas.clientWidth / view.scale / 2;
    view.y = node.y + HEIGHT / 2 - canvas.clientHeight / view.scale / 2;
    queue();
  }

  function bringIntoView(node) {
    const margin = 30, wide = canvas.clientWidth / view.scale, high = canvas.clientHeight / view.scale;
    view.x = Math.max(node.x + WIDTH + margin - wide, Math.min(view.x, node.x - margin));
    view.y = Math.max(node.y + HEIGHT + margin - high, Math.min(view.y, node.y - margin));
    queue();
  }

  function resize() {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
      draw();
    }
  }

  // --------------------------------------------------------------- choosing

  function reach(node, links, end) {
    const found = new Set([node]);
    for (const one of found) for (const edge of one[links]) found.add(edge[end]);
    return found;
  }

  function select(node) {
    selected = node;
    related = node && { up: reach(node, "into", "source"), down: reach(node, "outof", "target") };
    byId("facts").hidden = !node;
    if (node) {
      showFacts(node);
      byId("said").textContent = `${node.type}: ${node.label}, ${subtitle(node)}`;
    }
    resize();
    queue();
  }

  function goTo(node, isNear) {
    select(node);
    if (view.scale < COMFORTABLE) center(node, 1);
    else if (isNear) bringIntoView(node);
    else center(node);
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function showFacts(node) {
    byId("facts-title").textContent = node.label;
    const list = byId("facts-list");
    list.replaceChildren();
    let previous = "";
    for (const [label, text] of [...node.facts, ...(node.time ? [["started", localTime(node.time, true)]] : [])]) {
      if (label !== previous) list.append(element("dt", label));
      list.append(element("dd", text));
      previous = label;
    }
    const links = byId("links");
    links.replaceChildren();
    for (const [way, found, end] of [["in", node.into, "source"], ["out", node.outof, "target"]]) {
      for (const [kind, heading] of Object.entries(HEADINGS[way])) {
        const others = found.filter((edge) => edge.kind === kind).map((edge) => edge[end]);
        if (!others.length) continue;
        links.append(element("h3", `${heading}${others.length > 1 ? ` (${others.length})` : ""}`), goList(others));
      }
    }
    byId("facts").scrollTop = 0;
  }

  function goList(others) {
    const list = element("ol");
    fillList(list, others);
    return list;
  }

  function fillList(list, others) {
    for (const other of others.slice(0, MOST_LISTED)) {
      const button = element("button", other.label, "go");
      button.type = "button";
      button.append(element("small", subtitle(other)));
      button.addEventListener("click", () => {
        goTo(other);
        if (list === byId("results")) hideResults();
      });
      const item = element("li");
      item.append(button);
      list.append(item);
    }
    const rest = others.length - MOST_LISTED;
    if (rest > 0) {
      const more = element("button", `\u2026 ${rest} more`, "go");
      more.type = "button";
      more.addEventListener("click", () => {
        more.parentElement.remove();
        fillList(list, others.slice(MOST_LISTED));
      });
      const item = element("li");
      item.append(more);
      list.append(item);
    }
  }

  // -------------------------------------------------------------- searching

  function search() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? nodes.filter((node) => words.every((word) => allText(node).includes(word))) : [];
    matches = words.length ? { list: found, set: new Set(found) } : null;
    current = -1;
    byId("found").textContent = matches ? (found.length ? `${found.length} found` : "nothing") : "";
    const results = byId("results");
    results.replaceChildren();
    fillList(results, found);
    results.hidden = !found.length;
    queue();
  }

  function hideResults() {
    byId("results").hidden = true;
  }

  function nextMatch(step) {
    if (!matches || !matches.list.length) return;
    current = (current + step + matches.list.length) % matches.list.length;
    hideResults();
    byId("found").textContent = `${current + 1} of ${matches.list.length}`;
    goTo(matches.list[current]);
  }

  function clearSearch() {
    byId("search").value = "";
    search();
  }

  // ---------------------------------------------------------------- pointer

  function nodeAt(clientX, clientY) {
    const box = canvas.getBoundingClientRect();
    const x = view.x + (clientX - box.left) / view.scale, y = view.y + (clientY - box.top) / view.scale;
    // Where nodes are tiny, near is good enough.
    const slack = Math.max(0, 5 / view.scale - HEIGHT / 2);
    const column = columns.get(Math.floor(x / COLUMN));
    if (!column || (x % COLUMN) > WIDTH + slack) return null;
    const near = column[firstBelow(column, y - HEIGHT - slack)];
    return near && near.y - slack <= y ? near : null;
  }

  const pointers = new Map();
  let hasMoved = false;

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, fromX: event.clientX, fromY: event.clientY });
    hasMoved = pointers.size > 1;
    hideResults();
  });

  canvas.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) {
      canvas.classList.toggle("over", Boolean(nodeAt(event.clientX, event.clientY)));
      return;
    }
    const before = spread();
    const moveX = event.clientX - pointer.x, moveY = event.clientY - pointer.y;
    pointer.x = event.clientX;
    pointer.y = event.clientY;
    if (!hasMoved && Math.hypot(pointer.x - pointer.fromX, pointer.y - pointer.fromY) < 4) return;
    if (!hasMoved) {
      hasMoved = true;
      canvas.classList.add("drag");
    }
    view.x -= moveX / view.scale / pointers.size;
    view.y -= moveY / view.scale / pointers.size;
    const after = spread();
    if (before && after) zoomTo((view.scale * after.size) / before.size, after.x, after.y);
    queue();
  });

  function spread() {
    if (pointers.size !== 2) return null;
    const [one, other] = [...pointers.values()], box = canvas.getBoundingClientRect();
    return {
      size: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
      x: (one.x + other.x) / 2 - box.left,
      y: (one.y + other.y) / 2 - box.top,
    };
  }

  function letGo(event) {
    if (!pointers.delete(event.pointerId)) return;
    canvas.classList.remove("drag");
    if (event.type === "pointerup" && !hasMoved) select(nodeAt(event.clientX, event.clientY));
  }
  canvas.addEventListener("pointerup", letGo);
  canvas.addEventListener("pointercancel", letGo);

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const pixels = event.deltaY * [1, 30, 400][event.deltaMode];
    const factor = Math.exp(-Math.max(-240, Math.min(240, pixels)) * (event.ctrlKey ? 0.01 : 0.0018));
    zoomTo(view.scale * factor, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  // --------------------------------------------------------------- keyboard

  function step(way) {
    if (!selected) {
      goTo(start);
      return;
    }
    const links = { ArrowLeft: selected.into.map((edge) => edge.source), ArrowRight: selected.outof.map((edge) => edge.target) };
    if (links[way]) {
      const near = links[way].reduce(
        (best, node) => (best && Math.abs(best.row - selected.row) <= Math.abs(node.row - selected.row) ? best : node), null,
      );
      if (near) goTo(near, true);
      return;
    }
    const column = columns.get(selected.column);
    const next = column[column.indexOf(selected) + (way === "ArrowUp" ? -1 : 1)];
    if (next) goTo(next, true);
  }

  const pan = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = {
    "+": () => zoomTo(view.scale * 1.25),
    "=": () => zoomTo(view.scale * 1.25),
    "-": () => zoomTo(view.scale / 1.25),
    0: showAll,
    Home: () => goTo(start),
    "/": () => byId("search").focus(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      escape();
    } else if (event.target === byId("search")) {
      if (event.key !== "Enter") return;
      nextMatch(event.shiftKey ? -1 : 1);
    } else if (pan[event.key] && !byId("facts").contains(event.target)) {
      const [x, y] = pan[event.key];
      if (event.shiftKey) {
        view.x += (x * 120) / view.scale;
        view.y += (y * 120) / view.scale;
        queue();
      } else {
        step(event.key);
      }
    } else if (keys[event.key]) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });

  function escape() {
    if (!byId("results").hidden) hideResults();
    else if (matches) clearSearch();
    else select(null);
    canvas.focus();
  }

  byId("search").addEventListener("input", search);
  byId("search").addEventListener("focus", () => {
    byId("results").hidden = !(matches && matches.list.length);
  });
  byId("in").addEventListener("click", () => zoomTo(view.scale * 1.25));
  byId("out").addEventListener("click", () => zoomTo(view.scale / 1.25));
  byId("fit").addEventListener("click", showAll);
  byId("home").addEventListener("click", () => goTo(start));
  byId("close").addEventListener("click", () => {
    select(null);
    canvas.focus();
  });
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = byId("theme").textContent.toLowerCase();
    readColors();
  });
  system.addEventListener("change", readColors);
  new ResizeObserver(resize).observe(canvas);

  readColors();
  resize();
  if (fitting() < OVERVIEW) center(start, 0.8);
  else showAll();
})();
