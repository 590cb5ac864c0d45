// The script of a trace's report: draws the picture anew when somebody unfolds, switches, searches or plays it.
//
// Decides what is looked at, never what was found: every amount comes from the document's own data, is kept as BigInt
// and added as BigInt. Text from the data reaches the page as text nodes alone. Nothing is fetched.
"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  const data = JSON.parse(find("#trace").textContent);
  const SVG = "http://www.w3.org/2000/svg";

  // Measures of the picture; crates/trace/src/picture/place.rs has the same, and a test compares what comes of them.
  const PITCH = 296, TO_ENDS = 140, WIDTH = [96, 112], HEIGHT = [44, 32], GAP = 10, LANE = 4, TOP = 64, MARGIN = 24;
  // How much one click unfolds, and how many boxes a picture may have before it says that it is full.
  const UNFOLD = 8, BOXES_MAX = 600, ROWS = 100, FOUND_MAX = 20;

  const ENDS = ["spent", "unspent", "stopped", "dust", "burned", "shielded"];
  const SIGNS = { unspent: "●", stopped: "■", dust: "·", burned: "✕", shielded: "◆", fee: "▽" };
  const WORDS = {
    stolen: ["Stolen", "盗難"], fold: ["Fold", "たたむ"], unfold: ["Show the next 8", "次の8件を開く"],
    all: ["Show all", "すべて開く"], tx: ["Transaction", "取引"], output: ["Output", "出力"],
    folded: ["Folded", "たたまれた部分"], block: ["block", "ブロック"], blocks: ["blocks", "ブロック"],
    value: ["All its units", "出力の全額"], amount: ["Stolen units by method", "方式ごとの盗難分"],
    address: ["Address", "アドレス"], none: ["no address", "アドレスなし"], fee: ["Fee", "手数料"],
    tags: ["Tags", "タグ"], copy: ["Copy", "コピー"], copied: ["Copied", "コピーしました"],
    path: ["Show its way from the theft", "盗難からの経路を表示"], in: ["Came in", "入った盗難分"],
    outs: ["Goes out to", "出先"], txs: ["transactions", "取引"], ends: ["final outputs", "終点の出力"],
    unspent: ["unspent", "未使用"], stopped: ["held at a stop", "停止先で保留"], dust: ["dropped as dust", "少額のため除外"],
    burned: ["burned", "消失"], shielded: ["in a shielded pool", "秘匿プール内"], spent: ["spent", "使用済み"],
    unclaimed: ["Left unclaimed", "未請求のまま消失"], full: ["The picture is full; fold something first", "表示が上限です。先にどこかをたたんでください"],
    play: ["Play", "再生"], pause: ["Pause", "一時停止"], at: ["At block", "ブロック"], held: ["unspent", "未使用"],
    inOuts: ["outputs", "出力"], fees: ["fees", "手数料"], rows: ["rows shown of", "行を表示 / 全"], more: ["Show more", "さらに表示"],
    nothing: ["Nothing found", "見つかりません"], seed: ["stolen here", "ここで盗難"], byNone: ["Not reached by this method", "この方式では到達しません"],
    seeds: ["Seeds", "起点"], thefts: ["Thefts", "事件"], left: ["More outputs than a report holds are counted, not drawn", "収まらない出力は件数と額だけを示します"],
  };
  // On accounts boxes are accounts and lines are transfers.
  if (data.accounts) {
    Object.assign(WORDS, {
      tx: ["Account", "口座"], txs: ["accounts", "口座"], output: ["Transfer, or where it is held", "送金または保有口座"],
      ends: ["places where it ends", "終点"], unspent: ["held", "保有"], held: ["stolen so far", "までの盗難額"], value: ["Whole transfer or balance", "送金額または残高"],
      stopped: ["arrived at a service", "サービスに到達"], inOuts: ["transfers", "送金"], kept: ["still held", "引き続き保有"],
      arrived: ["arrived at services", "サービスに到達"],
    });
  }
  const language = () => (find("#lang-ja").checked ? 1 : 0);
  const say = (word) => WORDS[word][language()];

  // ---- the trace ----
  const BIG = 10n ** BigInt(data.decimals);
  const amounts = (row) => (Array.isArray(row) ? row.map(BigInt) : data.methods.map(() => BigInt(row)));
  const nodes = data.nodes.map((row, at) => row === null
    ? { at, tx: null, height: null, rank: 0, parent: 0, into: [], out: [] }
    : { at, tx: row[0], height: row[1], time: row[2], rank: row[3], parent: row[4],
      fees: amounts(row[5]), unclaimed: amounts(row[6]), into: [], out: [] });
  const flows = data.flows.map((row, at) => {
    const from = nodes[row[1]];
    const flow = { at, vout: row[0], from: row[1], to: row[2] < 0 ? null : row[2], end: ENDS[row[3]],
      address: row[4] < 0 ? null : data.addresses[row[4]], tags: data.tags[row[4]] || [], value: BigInt(row[5]),
      amounts: amounts(row[6]), dust: row[7], seed: row[8] === 1,
      tx: row[9] || from.tx, height: row[10] ?? from.height, time: row[11] ?? from.time };
    from.out.push(flow);
    if (flow.to !== null) nodes[flow.to].into.push(flow);
    return flow;
  });
  // Of several thefts, what each has of a flow.
  data.shares.forEach((row, at) => { flows[at].shares = row.map(([theft, units]) => [theft, amounts(units)]); });
  const COLOURS = 6, STRIPES = 36n, LETTERS_MAX = 4;
  const letter = (at) => (at < 26 ? String.fromCharCode(65 + at) : String(at + 1));
  const whose = (list, by) => {
    const sums = data.thefts.map(() => 0n);
    if (sums.length) for (const flow of list) for (const [theft, units] of flow.shares) sums[theft] += units[by];
    return sums.map((units, theft) => [theft, units]).filter(([, units]) => units > 0n);
  };
  // All but the one that has most, over a line of its colour: theft, length, start of a pattern.
  const stripes = (list) => {
    const all = list.reduce((total, [, units]) => total + units, 0n);
    const base = list.reduce((best, one) => (best === null || one[1] > best[1] ? one : best), null);
    let start = 0;
    return [base, list.filter((one) => one !== base).map(([theft, units]) => {
      const length = Math.max(3, Number((units * STRIPES) / all));
      start += length;
      return [theft, length, start - length];
    })];
  };
  const outpoint = (flow) => (flow.vout < 0 ? `${flow.tx} (${say(data.accounts ? "kept" : "fee")})` : `${flow.tx}:${flow.vout}`);
  const isDust = (flow, method) => ((flow.dust >> method) & 1) === 1;
  // What becomes of a flow by a method.
  const endOf = (flow, method) => (isDust(flow, method) ? "dust" : flow.end);
  const sum = (list, method) => list.reduce((total, flow) => total + flow.amounts[method], 0n);
  // The weight by which the layout was made: the most by any method that conserves units, then by any.
  const most = (list, keep) => list.reduce((best, amount, at) => (keep(at) && amount > best ? amount : best), 0n);
  const weigh = (flow) => [most(flow.amounts, (at) => data.conserves[at]), most(flow.amounts, () => true)];
  const heavier = (one, other) => (one[0] === other[0] ? (one[1] === other[1] ? 0 : one[1] > other[1] ? -1 : 1)
    : one[0] > other[0] ? -1 : 1);

  // What leaves each node in the tree, the heaviest first: ends, and transactions whose parent it is.
  const items = nodes.map(() => []);
  {
    const given = nodes.map(() => [0n, 0n]);
    for (const flow of flows) {
      const weight = weigh(flow);
      if (flow.to !== null) {
        if (nodes[flow.to].parent === flow.from) {
          given[flow.to] = [given[flow.to][0] + weight[0], given[flow.to][1] + weight[1]];
        }
      } else if (flow.end !== "spent") {
        items[flow.from].push({ kind: "e", at: flow.at, weight });
      }
    }
    for (const node of nodes.slice(1)) items[node.parent].push({ kind: "n", at: node.at, weight: given[node.at] });
    for (const list of items) {
      list.sort((one, other) => heavier(one.weight, other.weight)
        || (one.kind === other.kind ? one.at - other.at : one.kind === "e" ? -1 : 1));
    }
  }
  const sizes = nodes.map(() => [0, 0]);
  for (const node of [...nodes].reverse()) {
    sizes[node.at][0] += node.at > 0 ? 1 : 0;
    sizes[node.at][1] += items[node.at].filter((item) => item.kind === "e").length;
    if (node.at > 0) {
      sizes[node.parent][0] += sizes[node.at][0];
      sizes[node.parent][1] += sizes[node.at][1];
    }
  }

  // ---- what is looked at ----
  const first = data.view;
  let shown = [...first];
  // Things unfolded by themselves, by a search.
  let pinned = new Set();
  let method = data.shown, chosen = null, path = new Set(), moment = null, scene = null;
  const isShown = (node, at) => at < shown[node] || pinned.has(items[node][at].kind + items[node][at].at);

  const folded = (node) => items[node].filter((_, at) => !isShown(node, at)).reduce((total, item) => item.kind === "n"
    ? [total[0] + sizes[item.at][0], total[1] + sizes[item.at][1]] : [total[0], total[1] + 1], [0, 0]);

  // The nearest node above each that is seen, and whether it is seen itself.
  const anchors = () => {
    const found = nodes.map(() => [0, false]);
    found[0] = [0, true];
    for (const node of nodes) {
      const [anchor, seen] = found[node.at];
      items[node.at].forEach((item, at) => {
        if (item.kind === "n") {
          const visible = seen && isShown(node.at, at);
          found[item.at] = [visible ? item.at : anchor, visible];
        }
      });
    }
    return found;
  };

  // Faces are "n" and "e" and "f" with a place: a node, an end, what is folded of a node.
  const order = (one, other) => "nef".indexOf(one[0]) - "nef".indexOf(other[0]) || one.slice(1) - other.slice(1);
  const half = (value) => Math.floor(value / 2);

  const apart = (boxes) => {
    let offset = 0;
    const offsets = [], pools = [];
    const top = (pool) => Math.floor(pool[0] / pool[1]);
    for (const [center, height] of boxes) {
      offsets.push(offset);
      let pool = [center - half(height) - offset, 1];
      while (pools.length && top(pools[pools.length - 1]) > top(pool)) {
        const last = pools.pop();
        pool = [pool[0] + last[0], pool[1] + last[1]];
      }
      pools.push(pool);
      offset += height + GAP;
    }
    const tops = pools.flatMap((pool) => Array(pool[1]).fill(top(pool)));
    return tops.map((at, place) => at + offsets[place]);
  };

  const place = () => {
    const known = anchors();
    const ends = new Set();
    known.forEach(([, seen], node) => {
      if (seen) items[node].forEach((item, at) => { if (item.kind === "e" && isShown(node, at)) ends.add(item.at); });
    });
    const face = (node) => (known[node][1] ? `n${node}` : `f${known[node][0]}`);
    const links = new Map();
    for (const flow of flows) {
      const from = face(flow.from);
      const to = flow.to !== null ? face(flow.to) : ends.has(flow.at) ? `e${flow.at}` : `f${known[flow.from][0]}`;
      if (from[0] === "f" && to[0] === "f") continue;
      const key = `${from} ${to}`;
      if (!links.has(key)) links.set(key, { from, to, flows: [] });
      links.get(key).flows.push(flow);
    }
    const feeding = new Map();
    for (const link of links.values()) {
      if (link.to[0] === "n" && link.from[0] !== "e") {
        const to = +link.to.slice(1);
        if (!feeding.has(to)) feeding.set(to, []);
        feeding.get(to).push(link);
      }
    }
    const columns = [];
    let start = 0;
    known.forEach(([, seen], node) => {
      if (!seen) return;
      const fed = Math.max(-1, ...(feeding.get(node) || []).map((link) => +link.from.slice(1)));
      if (columns.length && node !== 0 && start !== 0 && fed < start) {
        columns[columns.length - 1].nodes.push(node);
      } else {
        columns.push({ x: MARGIN + columns.length * PITCH, nodes: [node] });
        start = node;
      }
    });
    const boxes = new Map();
    const all = [...links.values()].sort((one, other) => order(one.from, other.from) || order(one.to, other.to));
    const columnOf = new Map(columns.flatMap((column, at) => column.nodes.map((node) => [node, at])));
    const slot = (face) => 2 * columnOf.get(+face.slice(1)) + (face[0] === "f" ? 1 : 0);
    const leaving = new Map();
    all.forEach((link, at) => {
      link.at = at;
      link.first = slot(link.from);
      link.last = link.to[0] === "e" ? link.first + 1 : slot(link.to);
      link.height = null;
      link.vias = [];
      if (!leaving.has(link.from)) leaving.set(link.from, []);
      leaving.get(link.from).push(link);
    });
    const rankOf = (face) => (face[0] === "e" ? 0 : nodes[+face.slice(1)].rank);
    const passing = (slot) => all.filter((link) => link.first < slot && slot < link.last)
      .map((link) => ({ link, wish: link.height ?? 0, rank: rankOf(link.to) }));
    const byKey = ({ key: one }, { key: other }) => one.reduce((found, part, at) => found || part - other[at], 0);
    // Gives everything in a slot its place: boxes, and links on their way through.
    const settle = (claims, x, width, height) => {
      claims.sort(byKey);
      const tops = apart(claims.map((claim) => [claim.wish, claim.face ? height : LANE]));
      claims.forEach((claim, at) => {
        const y = tops[at];
        if (claim.face) {
          boxes.set(claim.face, { face: claim.face, x, y, width, height });
          for (const link of leaving.get(claim.face) || []) link.height = y + half(height);
        } else {
          claim.link.vias.push([x, x + width, y + half(LANE)]);
          claim.link.height = y + half(LANE);
        }
      });
    };
    columns.forEach((column, at) => {
      const stand = column.nodes.map((node) => {
        const heights = (feeding.get(node) || []).map((link) => link.height).filter((height) => height !== null);
        const wish = heights.length ? Math.floor(heights.reduce((total, y) => total + y, 0) / heights.length) : 0;
        return { face: `n${node}`, wish, key: [wish, 0, nodes[node].rank, node] };
      });
      const lanes = passing(2 * at).map(({ link, wish, rank }) => ({ link, wish, key: [wish, 1, rank, link.at] }));
      settle([...stand, ...lanes], column.x, WIDTH[0], HEIGHT[0]);
      const beside = [];
      for (const node of column.nodes) {
        const box = boxes.get(`n${node}`), center = box.y + half(box.height);
        const own = items[node].filter((item, place) => item.kind === "e" && isShown(node, place)).map((item) => `e${item.at}`);
        if (items[node].some((_, place) => !isShown(node, place))) own.push(`f${node}`);
        // Beneath the line to the next transaction, where there is one.
        const goesOn = items[node].some((item, place) => item.kind === "n" && isShown(node, place));
        const pitch = HEIGHT[1] + GAP;
        const top = goesOn ? center + half(HEIGHT[1]) + GAP : center - half(Math.max(0, own.length - 1) * pitch);
        own.forEach((face, step) => beside.push({ face, wish: top + step * pitch, key: [center, node + 1, step, 0] }));
      }
      if (!beside.length) return;
      const through = passing(2 * at + 1).map(({ link, wish, rank }) => ({ link, wish, key: [wish, 0, rank, link.at] }));
      settle([...beside, ...through], column.x + TO_ENDS, WIDTH[1], HEIGHT[1]);
    });
    const top = Math.min(...[...boxes.values()].map((at) => at.y));
    for (const at of boxes.values()) at.y += TOP - top;
    for (const link of all) for (const via of link.vias) via[2] += TOP - top;
    for (const leaves of [true, false]) {
      const sides = new Map();
      for (const link of all) {
        const [own, other] = leaves ? [link.from, link.to] : [link.to, link.from];
        if (!sides.has(own)) sides.set(own, []);
        const via = leaves ? link.vias[0] : link.vias[link.vias.length - 1];
        const to = boxes.get(other);
        sides.get(own).push([via ? via[2] : to.y + half(to.height), other, link]);
      }
      for (const [own, side] of sides) {
        side.sort((one, other) => one[0] - other[0] || order(one[1], other[1]));
        const at = boxes.get(own);
        side.forEach(([, , link], step) => {
          const y = at.y + Math.floor((at.height * (step + 1)) / (side.length + 1));
          link[leaves ? "start" : "stop"] = leaves ? [at.x + at.width, y] : [at.x, y];
        });
      }
    }
    const far = [...boxes.values()];
    return { boxes, links: all, columns,
      width: Math.max(...far.map((at) => at.x + at.width)) + MARGIN, height: Math.max(...far.map((at) => at.y + at.height)) + MARGIN };
  };

  // ---- words for amounts and ids ----
  const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");
  const coins = (units) => {
    const rest = (units % BIG).toString().padStart(data.decimals, "0").replace(/0+$/, "");
    return `${grouped((units / BIG).toString())}${rest ? `.${rest}` : ""}`;
  };
  const whole = (units) => `${coins(units)} ${data.asset}`;
  // For boxes: four decimals, cut and marked where there are more.
  const brief = (units) => {
    const cut = BIG > 10000n ? BIG / 10000n : 1n;
    if (units > 0n && units < cut) return `<${coins(cut)}`;
    return `${units % cut ? "~" : ""}${coins(units - (units % cut))}`;
  };
  const short = (text, head, tail) => (text.length > head + tail + 1 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text);
  const day = (time) => (time === null || time === undefined ? "" : `${new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ")}Z`);

  // ---- making elements ----
  const make = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value); else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };
  const draw = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // ---- the picture ----
  const svg = find("#picture"), canvas = find("#canvas");
  const layers = { stage: draw("g", {}) };
  const seenBefore = new Map([...svg.querySelectorAll("g[data-f]")].map((box) => [box.dataset.f, box.getAttribute("transform")]));
  const waysBefore = [...svg.querySelectorAll("path.link")].map((way) => way.getAttribute("d")).sort().join();
  svg.replaceChildren(layers.stage);
  svg.removeAttribute("viewBox");
  svg.setAttribute("width", "100%");
  svg.setAttribute("height", "100%");
  canvas.classList.add("live");

  // Curves from box to box, level between those on the way.
  const curve = (link) => {
    let [x, y] = link.start;
    let way = `M${x} ${y}`;
    const to = (x2, y2) => {
      const bend = x2 > x ? half(x2 - x) : 120;
      way += `L${x} ${y}C${x + bend} ${y} ${x2 - bend} ${y2} ${x2} ${y2}`;
    };
    for (const [left, right, height] of link.vias) { to(left, height); [x, y] = [right, height]; }
    to(...link.stop);
    return way;
  };
  const label = (face) => {
    const at = +face.slice(1);
    if (face[0] === "n") {
      const node = nodes[at];
      const amount = at === 0 ? BigInt(data.totals[method][0]) : sum(node.into, method);
      return [at === 0 ? say("stolen") : short(node.tx, 6, 4), brief(amount), amount];
    }
    if (face[0] === "e") {
      const flow = flows[at];
      const name = flow.tags.length ? `⚑ ${short(flow.tags[0], 10, 2)}` : flow.address ? short(flow.address, 7, 5) : `${flow.tx.slice(0, 7)}…:${flow.vout}`;
      return [name, `${SIGNS[endOf(flow, method)] || ""} ${brief(flow.amounts[method])}`, flow.amounts[method]];
    }
    const [txs, ends] = folded(at);
    const amount = scene.links.filter((link) => link.to === face).reduce((total, link) => total + sum(link.flows, method), 0n);
    return [`+${grouped(String(txs + ends))}`, brief(amount), amount];
  };
  const shares = (list) => list.map(([theft, units]) => ` · ${letter(theft)} ${whole(units)}`).join("");
  // The flows whose units a box stands for; none for the theft itself, in which all are.
  const flowsOf = (face) => (face === "n0" ? [] : face[0] === "n" ? nodes[+face.slice(1)].into : face[0] === "e" ? [flows[+face.slice(1)]]
    : scene.links.filter((link) => link.to === face).flatMap((link) => link.flows));
  const spoken = (face) => {
    const at = +face.slice(1), [name, , amount] = label(face);
    if (face[0] === "n") return at === 0 ? `${say("stolen")}: ${whole(amount)}` : `${say("tx")} ${nodes[at].tx}, ${say("block")} ${nodes[at].height}: ${whole(amount)}`;
    if (face[0] === "e") return `${flows[at].tags.join(", ")} ${flows[at].address || say("none")}, ${say(endOf(flows[at], method))}: ${whole(amount)}`;
    const [txs, ends] = folded(at);
    return `${name}: ${grouped(String(txs))} ${say("txs")}, ${grouped(String(ends))} ${say("ends")}: ${whole(amount)}`;
  };

  const paint = () => {
    scene = place();
    layers.stage.replaceChildren();
    const heads = draw("g", { class: "heads" }), links = draw("g", { class: "links" }), boxes = draw("g", { class: "boxes" });
    scene.columns.forEach((column) => {
      const tall = column.nodes.filter((node) => node > 0).map((node) => nodes[node]);
      if (!tall.length) return;
      const [low, high] = [tall[0], tall[tall.length - 1]];
      const range = low.height === high.height ? `${say("block")} ${grouped(String(low.height))}`
        : `${say("blocks")} ${grouped(String(low.height))}–${grouped(String(high.height))}`;
      heads.append(draw("text", { x: column.x, y: 24 }, range), draw("text", { x: column.x, y: 40, class: "day" }, day(low.time).slice(0, 10)),
        draw("line", { x1: column.x - 14, x2: column.x - 14, y1: 12, y2: scene.height }));
    });
    for (const link of scene.links) {
      link.drawn = draw("path", { class: "link", d: curve(link) });
      link.drawn.append(draw("title", {}, ""));
      link.striped = draw("g", {});
      links.append(link.drawn, link.striped);
    }
    for (const at of scene.boxes.values()) {
      at.drawn = draw("g", { class: `box ${{ n: "node", e: "end", f: "folded" }[at.face[0]]}`, "data-f": at.face, tabindex: "0", role: "button",
        transform: `translate(${at.x} ${at.y})` });
      if (at.face === "n0") at.drawn.classList.add("theft");
      at.drawn.append(draw("rect", { width: at.width, height: at.height, rx: at.face[0] === "n" ? 6 : at.face[0] === "f" ? 16 : 2 }),
        draw("text", { x: 8, y: half(at.height) - 3, class: "name" }), draw("text", { x: 8, y: half(at.height) + 11, class: "sum" }), draw("title", {}), draw("text", { x: at.width, y: -2, class: "whose" }));
      boxes.append(at.drawn);
    }
    layers.stage.append(heads, links, boxes);
    restyle();
  };

  // Widths, amounts and what is lit: all that does not move a box.
  const restyle = () => {
    const stolen = BigInt(data.totals[method][0]) || 1n;
    const late = (height) => moment !== null && height !== null && height > moment;
    for (const link of scene.links) {
      const held = link.flows.filter((flow) => !late(flow.height));
      const amount = sum(held, method);
      const waits = held.length > 0 && held.every((flow) => flow.to !== null && late(nodes[flow.to].height));
      link.drawn.setAttribute("stroke-width", String(Number(14n + (150n * amount) / stolen) / 10));
      const owners = whose(held, method), [base, others] = stripes(owners);
      link.striped.replaceChildren(...(waits || (path.has(link.from) && path.has(link.to)) ? [] : others).map(([theft, length, start]) => draw("path", { class: `stripe c${theft % COLOURS}`,
        d: link.drawn.getAttribute("d"), "stroke-width": link.drawn.getAttribute("stroke-width"), "stroke-dasharray": `${length} ${36 - length}`, "stroke-dashoffset": -start })));
      link.drawn.setAttribute("class", `link${base ? ` c${base[0] % COLOURS}` : ""}${amount === 0n ? " none" : ""}${held.length ? "" : " later"}${waits ? " waits" : ""}${path.has(link.from) && path.has(link.to) ? " lit" : ""}`);
      link.drawn.firstChild.textContent = `${whole(amount)} · ${link.flows.length} ${say("inOuts")}${shares(owners)}`;
    }
    for (const at of scene.boxes.values()) {
      const [name, amount, units] = label(at.face);
      const place = +at.face.slice(1);
      const height = at.face[0] === "n" ? nodes[place].height : at.face[0] === "e" ? flows[place].height : null;
      const kind = at.face[0] === "e" ? endOf(flows[place], method) : "";
      const classes = at.drawn.classList;
      for (const end of ENDS) classes.toggle(end, kind === end);
      classes.toggle("none", units === 0n);
      classes.toggle("later", late(height) || (at.face[0] === "f" && place > 0 && late(nodes[place].height)));
      classes.toggle("tagged", at.face[0] === "e" && flows[place].tags.length > 0);
      classes.toggle("chosen", chosen === at.face);
      classes.toggle("lit", path.has(at.face));
      at.drawn.children[1].textContent = name;
      at.drawn.children[2].textContent = amount;
      const owners = whose(flowsOf(at.face), method);
      at.drawn.children[4].replaceChildren(...owners.slice(0, LETTERS_MAX).map(([theft]) => draw("tspan", { class: `c${theft % COLOURS}` }, letter(theft))),
        owners.length > LETTERS_MAX ? "…" : "");
      const told = spoken(at.face) + shares(owners);
      at.drawn.children[3].textContent = told;
      at.drawn.setAttribute("aria-label", told);
    }
    tellMoment();
  };

  // ---- pan and zoom ----
  const sight = { x: 0, y: 0, scale: 1 };
  const look = () => layers.stage.setAttribute("transform", `translate(${sight.x} ${sight.y}) scale(${sight.scale})`);
  const fit = () => {
    // No taller than what there is to see.
    const room = Math.max(320, Math.min(window.innerHeight * 0.7, scene.height * 1.05 + 20));
    canvas.style.height = `${Math.round(room)}px`;
    const { width, height } = canvas.getBoundingClientRect();
    sight.scale = Math.min(1.1, Math.max(0.72, Math.min(width / scene.width, height / scene.height)));
    const theft = scene.boxes.get("n0");
    sight.x = Math.max(0, (width - scene.width * sight.scale) / 2);
    sight.y = scene.height * sight.scale <= height ? (height - scene.height * sight.scale) / 2
      : Math.min(0, height / 2 - (theft.y + theft.height / 2) * sight.scale);
    look();
  };
  // On paper all that is unfolded is shown, whatever was looked at.
  window.addEventListener("beforeprint", () => {
    svg.setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
    layers.stage.removeAttribute("transform");
  });
  window.addEventListener("afterprint", () => { svg.removeAttribute("viewBox"); look(); });
  const zoom = (factor, x, y) => {
    const scale = Math.min(4, Math.max(0.08, sight.scale * factor));
    sight.x = x - ((x - sight.x) * scale) / sight.scale;
    sight.y = y - ((y - sight.y) * scale) / sight.scale;
    sight.scale = scale;
    look();
  };
  const middle = () => { const { width, height } = canvas.getBoundingClientRect(); return [width / 2, height / 2]; };
  const show = (face) => {
    const at = scene.boxes.get(face);
    if (!at) return;
    const [x, y] = middle();
    sight.x = x - (at.x + at.width / 2) * sight.scale;
    sight.y = y - (at.y + at.height / 2) * sight.scale;
    look();
  };
  const fingers = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, [event.clientX, event.clientY]); dragged = 0; });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const [x, y] = fingers.get(event.pointerId);
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length === 1) {
      const box = canvas.getBoundingClientRect(), [ox, oy] = others[0];
      const factor = Math.hypot(event.clientX - ox, event.clientY - oy) / Math.max(1, Math.hypot(x - ox, y - oy));
      zoom(factor, (event.clientX + ox) / 2 - box.left, (event.clientY + oy) / 2 - box.top);
    } else if (!others.length) {
      sight.x += event.clientX - x;
      sight.y += event.clientY - y;
      dragged += Math.abs(event.clientX - x) + Math.abs(event.clientY - y);
      look();
    }
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  // ---- choosing, unfolding, folding ----
  const redraw = (keep) => {
    const before = keep && scene.boxes.get(keep);
    paint();
    const after = keep && scene.boxes.get(keep);
    if (before && after) {
      sight.x += (before.x - after.x) * sight.scale;
      sight.y += (before.y - after.y) * sight.scale;
      look();
    }
  };
  const unfold = (node, count) => {
    if (scene.boxes.size + count > BOXES_MAX) { note(say("full")); return; }
    shown[node] = Math.min(items[node].length, shown[node] + count);
    if (items[node].length - shown[node] === 1) shown[node] += 1;
    redraw(`n${node}`);
    const left = `f${node}`;
    const next = scene.boxes.get(left) || scene.boxes.get(`n${node}`);
    next.drawn.focus({ preventScroll: true });
    if (!scene.boxes.has(left) && chosen === left) choose(`n${node}`);
  };
  const fold = (node) => {
    const below = (at) => items[at].forEach((item) => {
      pinned.delete(item.kind + item.at);
      if (item.kind === "n" && (shown[item.at] || item.at !== at)) { shown[item.at] = 0; below(item.at); }
    });
    below(node);
    shown[node] = 0;
    redraw(`n${node}`);
  };
  const wayTo = (face) => {
    const way = new Set([face]);
    let node = face[0] === "n" ? +face.slice(1) : face[0] === "f" ? +face.slice(1) : flows[+face.slice(1)].from;
    for (;;) {
      way.add(`n${node}`);
      if (node === 0) return way;
      node = nodes[node].parent;
    }
  };
  const choose = (face) => {
    chosen = face;
    path = face ? wayTo(face) : new Set();
    restyle();
    tell();
  };
  svg.addEventListener("click", (event) => {
    if (dragged > 6) return;
    const box = event.target.closest("g[data-f]");
    if (!box) { choose(null); return; }
    const face = box.dataset.f;
    choose(face);
    if (face[0] === "f") unfold(+face.slice(1), UNFOLD);
  });
  canvas.addEventListener("keydown", (event) => {
    const [x, y] = middle();
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const box = event.target.closest && event.target.closest("g[data-f]");
    if (moves[event.key]) { sight.x += moves[event.key][0]; sight.y += moves[event.key][1]; look(); }
    else if (event.key === "+" || event.key === "=") zoom(1.25, x, y);
    else if (event.key === "-") zoom(0.8, x, y);
    else if (event.key === "0") fit();
    else if (event.key === "Escape") choose(null);
    else if (box && (event.key === "Enter" || event.key === " ")) {
      dragged = 0;
      box.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    } else return;
    event.preventDefault();
  });
  svg.addEventListener("focusin", (event) => {
    const box = event.target.closest("g[data-f]");
    if (!box || !box.matches(":focus-visible")) return;
    // Whoever walks by the keyboard reads of each box in the panel.
    if (chosen !== box.dataset.f) choose(box.dataset.f);
    const seen = box.getBoundingClientRect(), frame = canvas.getBoundingClientRect();
    if (seen.left < frame.left || seen.right > frame.right || seen.top < frame.top || seen.bottom > frame.bottom) show(box.dataset.f);
  });

  // ---- what is chosen, in words ----
  const aside = find("#chosen");
  const copy = async (text, button) => {
    try { await navigator.clipboard.writeText(text); } catch {
      const field = make("textarea", {});
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = say("copied");
  };
  const id = (text) => make("span", { class: "id" }, make("bdi", {}, text), " ",
    make("button", { type: "button", class: "small", onclick: (event) => copy(text, event.currentTarget) }, say("copy")));
  const line = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];
  const byMethod = (units) => {
    const rows = data.methods.map((name, at) => make("tr", at === method ? { class: "now" } : {}, make("th", { scope: "row" }, name), make("td", {}, whole(units(at)))));
    return make("table", {}, make("tbody", {}, ...rows));
  };
  const chip = (theft) => make("b", { class: `chip c${theft % COLOURS}` }, letter(theft));
  const jump = (face, text) => make("button", { type: "button", class: "link", onclick: () => reveal(face) }, text);
  const tell = () => {
    aside.replaceChildren();
    aside.hidden = chosen === null;
    if (chosen === null) return;
    const at = +chosen.slice(1), list = make("dl", {});
    if (chosen[0] === "n" && at > 0) {
      const node = nodes[at];
      list.append(...line(say("tx"), id(node.tx)), ...line(say("block"), `${grouped(String(node.height))} ${day(node.time)}`),
        ...line(say("in"), byMethod((by) => sum(node.into, by))));
      if (node.fees.some((fee) => fee > 0n)) list.append(...line(say("fee"), whole(node.fees[method])));
      if (node.unclaimed.some((left) => left > 0n)) list.append(...line(say("unclaimed"), whole(node.unclaimed[method])));
    } else if (chosen[0] === "n") {
      list.append(...line(say("stolen"), byMethod((by) => BigInt(data.totals[by][0]))));
    } else if (chosen[0] === "e") {
      const flow = flows[at];
      list.append(...line(say("address"), flow.address ? id(flow.address) : say("none")));
      if (flow.tags.length) list.append(...line(say("tags"), ...flow.tags.map((tag) => make("bdi", { class: "tag" }, tag))));
      list.append(...line(say("output"), id(outpoint(flow)), ` ${say(endOf(flow, method))}`), ...line(say("block"), `${grouped(String(flow.height))} ${day(flow.time)}`),
        ...line(say("value"), whole(flow.value)), ...line(say("amount"), byMethod((by) => flow.amounts[by])));
    } else {
      const [txs, ends] = folded(at);
      list.append(...line(say("folded"), `${grouped(String(txs))} ${say("txs")}, ${grouped(String(ends))} ${say("ends")}`),
        ...line(say("amount"), byMethod((by) => scene.links.filter((link) => link.to === chosen).reduce((total, link) => total + sum(link.flows, by), 0n))));
    }
    const owners = whose(flowsOf(chosen), method);
    if (owners.length) list.append(...line(say("thefts"), ...owners.map(([theft, units]) => make("div", {}, chip(theft), ` ${data.thefts[theft]} `, whole(units)))));
    if (chosen[0] === "n") {
      const out = [...nodes[at].out].sort((one, other) => heavier(weigh(one), weigh(other)) || one.at - other.at).slice(0, 12);
      if (out.length) {
        list.append(...line(say(at ? "outs" : "seeds"), make("ul", {}, ...out.map((flow) => make("li", {}, jump(flow.to === null ? `e${flow.at}` : `n${flow.to}`,
          `${flow.address ? short(flow.address, 8, 6) : outpoint(flow).slice(0, 16)} ${whole(flow.amounts[method])}`))))));
      }
    }
    const actions = make("p", { class: "actions" });
    if (chosen[0] !== "e" && items[at].some((_, place) => !isShown(at, place))) {
      const left = items[at].length - shown[at];
      actions.append(make("button", { type: "button", onclick: () => { unfold(at, UNFOLD); tell(); } }, say("unfold")),
        make("button", { type: "button", onclick: () => { unfold(at, left); tell(); } }, `${say("all")} (${grouped(String(left))})`));
    }
    if (chosen[0] === "n" && shown[at] > 0) actions.append(make("button", { type: "button", onclick: () => { fold(at); tell(); } }, say("fold")));
    aside.append(make("h3", {}, chosen[0] === "n" ? (at ? say("tx") : say("stolen")) : chosen[0] === "e" ? say("output") : say("folded")), list, actions);
  };

  // Unfolds down to something and goes there.
  const reveal = (face) => {
    const need = [];
    let [kind, at] = [face[0], +face.slice(1)];
    while (kind !== "n" || at !== 0) {
      const parent = kind === "e" ? flows[at].from : nodes[at].parent;
      const where = items[parent].findIndex((item) => item.kind === kind && item.at === at);
      if (where >= 0 && !isShown(parent, where)) need.push(kind + at);
      [kind, at] = ["n", parent];
    }
    if (scene.boxes.size + need.length > BOXES_MAX) { note(say("full")); return; }
    need.forEach((one) => pinned.add(one));
    paint();
    choose(face);
    show(face);
  };

  // ---- search ----
  const results = find("#found");
  find("#search").addEventListener("input", (event) => {
    const text = event.target.value.trim().toLowerCase();
    results.replaceChildren();
    if (text.length < 3) return;
    const hits = [];
    for (const flow of flows) {
      if (hits.length >= FOUND_MAX) break;
      const words = [flow.address || "", outpoint(flow), ...flow.tags];
      if ((data.accounts || flow.vout >= 0) && words.some((word) => word.toLowerCase().includes(text))) {
        hits.push([flow.to === null ? `e${flow.at}` : `n${flow.to}`, `${flow.tags.length ? `⚑ ${flow.tags[0]} ` : ""}${flow.address || outpoint(flow)} · ${whole(flow.amounts[method])}`]);
      }
    }
    results.append(...(hits.length ? hits.map(([face, words]) => make("li", {}, jump(face, words))) : [make("li", {}, say("nothing"))]));
  });
  const note = (text) => { find("#note").textContent = text; };

  // ---- the time slider ----
  const times = [...new Set([...nodes.slice(1).map((node) => node.height), ...flows.map((flow) => flow.height), data.until])].sort((one, other) => one - other);
  const timeOf = new Map([...nodes, ...flows].filter((one) => one.height !== null).map((one) => [one.height, one.time]));
  timeOf.set(data.tip.height, data.tip.time);
  const slider = find("#time"), play = find("#play");
  slider.max = String(times.length - 1);
  slider.value = slider.max;
  let playing = null;
  const tellMoment = () => {
    const now = moment === null ? data.until : moment;
    if (data.accounts) {
      // What stands on an account at a moment follows from all its transfers; what was stolen and arrived is told as it is.
      const past = flows.filter((flow) => flow.vout >= 0 && flow.height <= now && flow.amounts[method] > 0n);
      const stolen = sum(past.filter((flow) => flow.from === 0), method), arrived = sum(past.filter((flow) => flow.end === "stopped" && flow.to === null), method);
      find("#moment").textContent = `${say("at")} ${grouped(String(now))}: ${whole(stolen)} ${say("held")}, ${whole(arrived)} ${say("arrived")}, ${grouped(String(past.length))} ${say("inOuts")}`;
      slider.setAttribute("aria-valuetext", find("#moment").textContent);
      return;
    }
    let held = 0n, outputs = 0, fees = 0n;
    for (const flow of flows) {
      if (flow.height > now || isDust(flow, method) || flow.vout < 0 || flow.amounts[method] === 0n) continue;
      if (flow.to === null ? flow.end === "unspent" : nodes[flow.to].height > now) { held += flow.amounts[method]; outputs += 1; }
    }
    for (const node of nodes) if (node.at && node.height <= now) fees += node.fees[method];
    if (moment === null) {
      // At the end the whole trace's own totals count, also for what had no room in the picture.
      held = BigInt(data.totals[method][1]);
      fees = BigInt(data.totals[method][2] ?? 0);
      outputs = data.counts[method];
    }
    find("#moment").textContent = `${say("at")} ${grouped(String(now))}${timeOf.get(now) ? ` (${day(timeOf.get(now))})` : ""}: ${whole(held)} ${say("held")}, ${grouped(String(outputs))} ${say("inOuts")}, ${say("fees")} ${whole(fees)}`;
    slider.setAttribute("aria-valuetext", find("#moment").textContent);
  };
  const toMoment = (at) => {
    slider.value = String(at);
    moment = at >= times.length - 1 ? null : times[at];
    restyle();
  };
  slider.addEventListener("input", () => toMoment(+slider.value));
  const rest = () => { clearInterval(playing); playing = null; play.setAttribute("aria-pressed", "false"); words(); };
  play.addEventListener("click", () => {
    if (playing !== null) { rest(); return; }
    if (+slider.value >= times.length - 1) toMoment(0);
    const step = Math.max(1, Math.ceil(times.length / 60));
    playing = setInterval(() => {
      toMoment(Math.min(times.length - 1, +slider.value + step));
      if (moment === null) rest();
    }, 200);
    play.setAttribute("aria-pressed", "true");
    words();
  });

  // ---- the method ----
  const select = find("#method");
  const switchTo = (at) => {
    method = at;
    for (const cell of document.querySelectorAll("[data-m]")) cell.classList.toggle("now", +cell.dataset.m === method);
    for (const cell of document.querySelectorAll("[data-total]")) {
      const units = data.totals[method][+cell.dataset.total];
      cell.textContent = units === null ? "–" : whole(BigInt(units));
    }
    for (const cell of document.querySelectorAll("[data-method]")) cell.textContent = data.methods[method];
    for (const cell of document.querySelectorAll("[data-count]")) cell.textContent = grouped(String(data.counts[method]));
    for (const part of document.querySelectorAll("[data-conserves]")) part.hidden = (part.dataset.conserves === "true") !== data.conserves[method];
    restyle();
    tell();
    later();
  };
  select.addEventListener("change", () => switchTo(+select.value));

  // ---- tables ----
  const span = (list) => {
    const held = data.methods.map((_, by) => list.reduce((total, flow) => (isDust(flow, by) ? total : total + flow.amounts[by]), 0n));
    const kept = held.filter((_, by) => data.conserves[by]);
    const low = kept.reduce((best, amount) => (amount < best ? amount : best), kept[0] ?? 0n);
    return { held, low, high: kept.reduce((best, amount) => (amount > best ? amount : best), 0n) };
  };
  const finals = flows.filter((flow) => flow.to === null && flow.end !== "spent").map((flow) => ({ flow, ...span([flow]) }));
  const owners = new Map();
  for (const { flow } of finals) {
    if (!flow.address || (flow.end !== "unspent" && flow.end !== "stopped")) continue;
    if (!owners.has(flow.address)) owners.set(flow.address, []);
    owners.get(flow.address).push(flow);
  }
  const addresses = [...owners].map(([address, list]) => ({ address, list, tags: list[0].tags, ...span(list) }));
  const tables = [];
  // Tables stand below: they are filled after the picture has been painted.
  let waiting = null;
  const later = () => {
    if (waiting === null) waiting = setTimeout(() => { waiting = null; for (const fill of tables) fill(); }, 30);
  };
  const table = (name, rows, columns, cells) => {
    const holder = find(name);
    if (!holder) return;
    const body = holder.querySelector("tbody"), foot = holder.querySelector(".more");
    let [by, up, count] = [columns.findIndex((column) => column.first), false, ROWS];
    const fill = () => {
      const key = columns[by].key;
      const sorted = rows.map((row, at) => [key(row), at, row]).sort((one, other) => {
        const order = one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
        return (up ? order : -order) || one[1] - other[1];
      });
      body.replaceChildren(...sorted.slice(0, count).map(([, , row]) => make("tr", {}, ...cells(row))));
      holder.querySelectorAll("thead th").forEach((head, at) => head.setAttribute("aria-sort", at === by ? (up ? "ascending" : "descending") : "none"));
      foot.replaceChildren(`${grouped(String(Math.min(count, rows.length)))} ${say("rows")} ${grouped(String(rows.length))} `,
        ...(count < rows.length ? [make("button", { type: "button", onclick: () => { count += 1000; fill(); } }, say("more"))] : []));
    };
    holder.querySelectorAll("thead th button").forEach((button, at) => button.addEventListener("click", () => {
      [by, up] = at === by ? [at, !up] : [at, !columns[at].amount];
      fill();
    }));
    tables.push(fill);
  };
  const cell = (...content) => make("td", {}, ...content);
  const money = (units) => make("td", { class: "amount" }, coins(units));
  const named = (address, tags, owners = []) => cell(address ? make("bdi", { class: "mono" }, address) : say("none"), ...tags.map((tag) => make("bdi", { class: "tag" }, tag)), ...owners.flatMap(([theft]) => [" ", chip(theft)]));
  table("#outputs", finals, [
    { key: (row) => row.flow.address || "" }, { key: (row) => outpoint(row.flow) }, { key: (row) => row.flow.height },
    { key: (row) => endOf(row.flow, method) }, { key: (row) => row.flow.amounts[method], amount: true, first: true }, { key: (row) => row.low, amount: true }, { key: (row) => row.high, amount: true },
  ], (row) => [named(row.flow.address, row.flow.tags, whose([row.flow], method)), cell(make("span", { class: "mono" }, short(outpoint(row.flow), 10, 8)), " ", jump(`e${row.flow.at}`, "↗")), cell(grouped(String(row.flow.height))),
    cell(say(endOf(row.flow, method))), money(row.flow.amounts[method]), money(row.low), money(row.high)]);
  table("#addresses", addresses, [
    { key: (row) => row.address }, { key: (row) => row.list.length, amount: true }, { key: (row) => row.held[method], amount: true, first: true },
    { key: (row) => row.low, amount: true }, { key: (row) => row.high, amount: true },
  ], (row) => [named(row.address, row.tags), make("td", { class: "amount" }, String(row.list.length)), money(row.held[method]), money(row.low), money(row.high)]);
  table("#transactions", nodes.slice(1), [
    { key: (node) => -node.at, first: true }, { key: (node) => node.tx }, { key: (node) => sum(node.into, method), amount: true }, { key: (node) => node.fees[method], amount: true },
  ], (node) => [cell(`${grouped(String(node.height))} ${day(node.time)}`), cell(make("span", { class: "mono" }, node.tx), " ", jump(`n${node.at}`, "↗")), money(sum(node.into, method)), money(node.fees[method])]);

  // ---- language ----
  const words = () => {
    document.documentElement.lang = language() ? "ja" : "en";
    play.textContent = playing === null ? say("play") : say("pause");
    select.setAttribute("aria-label", language() ? "方式" : "Method");
  };
  for (const radio of document.querySelectorAll("[name=lang]")) {
    radio.addEventListener("change", () => { words(); paint(); tell(); later(); });
  }
  find("#fit").addEventListener("click", fit);
  find("#reset").addEventListener("click", () => { shown = [...first]; pinned = new Set(); choose(null); paint(); fit(); });
  find("#nearer").addEventListener("click", () => zoom(1.25, ...middle()));
  find("#farther").addEventListener("click", () => zoom(0.8, ...middle()));

  for (const part of document.querySelectorAll("[data-live]")) part.hidden = false;
  words();
  paint();
  // Whether this script and the program that wrote the page place the first look alike.
  const same = seenBefore.size === scene.boxes.size && [...scene.boxes.values()].every((at) => seenBefore.get(at.face) === at.drawn.getAttribute("transform"))
    && waysBefore === scene.links.map((link) => link.drawn.getAttribute("d")).sort().join();
  document.documentElement.dataset.same = String(same);
  switchTo(method);
  fit();
  document.documentElement.dataset.ready = "true";
})();
