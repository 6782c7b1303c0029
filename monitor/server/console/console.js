// Draws /v1/state once a second. Builds every node with textContent: nothing from a venue is ever
// taken as HTML. When riskd does not answer, the page says so instead of keeping old numbers.
"use strict";
const $ = (id) => document.getElementById(id);
const el = (tag, attrs = {}, ...kids) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attrs)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value; else node.setAttribute(key, value);
  }
  for (const kid of kids.flat()) if (kid !== null && kid !== undefined) node.append(kid);
  return node;
};
const usd = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const percent = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
function age(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1.5) return "now";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
function number(value, unit) {
  if (unit === "usd") return usd.format(value);
  if (unit === "ratio") return value >= 10 ? "> 1,000 %" : `${percent.format(value * 100)} %`;
  if (unit === "times") return `${percent.format(value)}x`;
  if (unit === "per_hour") return `${short.format(value * 100)} %/h`;
  if (unit === "per_year") return `${short.format(value * 100)} %/y`;
  if (unit === "seconds") return `${short.format(value)} s`;
  if (unit === "bool") return value ? "yes" : "no";
  return short.format(value);
}
function shown(reading, unit, whole = false) {
  if (reading && reading.none) return el("span", { class: "dim", title: reading.reason }, "none");
  if (!reading || reading.value === null || reading.value === undefined) {
    return el("span", { class: "unknown", title: reading && reading.reason }, "unknown");
  }
  return el("span", { class: reading.estimated ? "estimated" : null },
    whole && unit === "usd" ? dollars.format(reading.value) : number(reading.value, unit));
}
const cell = (kid, cls) => el("td", { class: cls }, kid);
const table = (head, rows) => el("div", { class: "scroll" }, el("table", {},
  el("thead", {}, el("tr", {}, head.map(([text, cls]) => el("th", { class: cls }, text)))),
  el("tbody", {}, rows)));
// Only what is plainly an address becomes a link: a rule's text may come from anywhere.
const link = (address, text) => /^(https?:\/\/|\/runbooks\/)/.test(address || "")
  ? el("a", { href: address, target: "_blank", rel: "noreferrer" }, text) : null;
const tag = (text) => el("span", { class: `tag ${text}` }, text);

function drawBanner(state) {
  $("banner").dataset.tone = state.safe.verdict;
  $("verdict").textContent = { safe: "Safe", attention: "Look", danger: "Danger", blind: "Blind" }[state.safe.verdict] || "Unknown";
  $("verdict").className = state.safe.verdict;
  $("verdict-text").textContent = state.safe.text;
  $("mode").textContent = `${state.riskd.mode}: ${state.riskd.mode_text}`;
  $("desk").textContent = state.riskd.desk;
  $("simulated").hidden = !state.riskd.simulated;
  $("clock").textContent = `${new Date(state.riskd.now_ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
  document.title = `${$("verdict").textContent} · riskd ${state.riskd.desk}`;
}
function drawAlert(a, named) {
  // What riskd did stands in the summary already; it is not said twice.
  const action = a.action && a.action !== "none" && !a.summary.includes("WOULD HAVE") ? a.action : null;
  return el("div", { class: `alert ${a.severity}` },
    named ? el("b", {}, a.alert) : null, named ? " " : null, named ? tag(a.severity) : null,
    a.stale ? el("span", { class: "unknown" }, "inputs stale") : null, " ",
    el("span", { class: "dim" }, `${a.subject} · for ${age(a.firing_s)}`),
    el("div", {}, el("span", {}, a.summary)),
    action ? el("div", { class: "dim" }, action) : null,
    a.covered_by ? el("div", { class: "dim" }, `nobody is told while ${a.covered_by} fires`) : null,
    (a.members || []).length > 1 ? el("details", { "data-group": `members-${a.alert}-${a.subject}` },
      el("summary", {}, `all ${a.members.length}`),
      a.members.map((one) => el("div", {}, el("span", { class: "dim" }, `${one.subject} · for ${age(one.firing_s)} `), one.summary))) : null,
    named ? link(a.runbook, "runbook") : null);
}
function drawAlerts(state) {
  if (!state.alerts.length) return [el("div", { class: "ok" }, "Nothing fires.")];
  const groups = new Map();
  for (const alert of state.alerts) groups.set(alert.alert, [...(groups.get(alert.alert) || []), alert]);
  return [...groups.values()].map((same) => {
    if (same.length === 1) return drawAlert(same[0], true);
    return el("div", {}, drawAlert(same[0], true),
      el("details", { "data-group": `alert-${same[0].alert}` }, el("summary", {}, `and ${same.length - 1} more ${same[0].alert}`),
        same.slice(1).map((one) => drawAlert(one, false))));
  });
}
function drawPortfolio(state) {
  return el("div", { class: "tiles" }, state.portfolio.map((r) => el("div", { class: "tile" },
    el("div", { class: "dim" }, r.label), el("div", { class: "big" }, shown(r.ours, r.unit, true)))));
}
function drawWouldHave(state) {
  const acts = [...((state.kill || {}).would_have || [])].reverse();
  if (!acts.length) return [el("div", { class: "dim" }, "Nothing so far.")];
  return [table([["when (UTC)", ""], ["what", ""]], acts.slice(0, 10).map((one) => el("tr", {},
    cell(new Date(one.at_ms).toISOString().slice(11, 19), "dim"), cell(one.text))))];
}
function drawUnwatched(state) {
  if (!state.unwatched.length) return [];
  const names = state.unwatched.map((u) => `${u.venue}/${u.account} (${u.kind} of ${u.parent})`).join(", ");
  return [el("p", {}, el("span", { class: "unknown" }, "not watched"), ` Found behind your addresses, but riskd does not look at: ${names}.`)];
}
function drawAccount(account) {
  const rows = account.rows.map((r) => el("tr", {}, cell(r.label), cell(shown(r.ours, r.unit), "n"),
    cell(r.venue === undefined ? el("span", { class: "dim", title: "the venue states none" }, "–") : shown(r.venue, r.unit), "n"),
    cell(r.difference === null || r.difference === undefined ? "" : number(r.difference, r.unit), "n"),
    cell(el("span", { class: "dim" }, age(r.age_s)), "n hide-phone")));
  const positions = account.positions.map((p) => el("tr", {}, cell(p.market), cell(p.size, "n"),
    cell(shown(p.distance, "ratio"), "n"), cell(shown(p.notional, "usd"), "n"),
    cell(shown(p.liquidation_price, "price"), "n hide-phone"),
    cell(p.venue_liquidation_price && p.venue_liquidation_price.value !== null
      ? shown(p.venue_liquidation_price, "price") : el("span", { class: "dim" }, "none"), "n hide-phone"),
    cell(shown(p.mark, "price"), "n hide-phone"), cell(shown(p.funding_24h, "usd"), "n hide-phone")));
  return el("div", { class: "card" },
    el("h3", {}, `${account.venue} · ${account.account} `,
      el("span", { class: "dim" }, account.mode), " ",
      account.note ? el("span", { class: "unknown" }, account.note) : null),
    table([["", ""], ["riskd", "n"], ["venue", "n"], ["difference", "n"], ["age", "n hide-phone"]], rows),
    positions.length ? table([["position", ""], ["size", "n"], ["distance", "n"], ["notional", "n"],
      ["liquidation", "n hide-phone"], ["venue's", "n hide-phone"], ["mark", "n hide-phone"], ["funding 24 h", "n hide-phone"]], positions)
      : el("div", { class: "dim" }, account.positions_known ? "No positions." : "Positions unknown."));
}
function drawFeeds(state) {
  const worst = ["lost", "old", "unknown", "fresh"];
  const feeds = [...state.feeds].sort((a, b) => worst.indexOf(a.state) - worst.indexOf(b.state));
  const rows = feeds.map((f) => el("tr", {}, cell(tag(f.state)), cell(`${f.venue} · ${f.feed}`),
    cell(age(f.age_s), "n"), cell(f.cadence_s ? `every ${short.format(f.cadence_s)} s` : "on change", "n hide-phone"),
    cell(el("span", { class: "dim" }, f.reason || ""), "")));
  return [table([["state", ""], ["feed", ""], ["last sign of life", "n"], ["speaks", "n hide-phone"], ["why", ""]], rows)];
}
function drawRules(state) {
  const order = ["firing", "recovering", "pending", "unknown", "error", "inactive"];
  const groups = new Map(order.map((name) => [name, []]));
  for (const rule of state.rules) {
    const name = rule.error ? "error" : rule.state === "inactive" && rule.verdict === "unknown" ? "unknown" : rule.state;
    groups.get(name).push(rule);
  }
  return order.filter((name) => groups.get(name).length).map((name) => {
    const rules = groups.get(name);
    const rows = rules.map((r) => el("tr", {}, cell(link(r.runbook, r.id) || r.id), cell(r.subject, "dim"), cell(tag(r.severity)),
      cell(age(r.since_s), "n"), cell(el("span", { class: r.error ? "critical" : "dim" }, r.error || r.expression), "hide-phone")));
    return el("details", { open: name !== "inactive" && name !== "unknown" ? "" : null, "data-group": name },
      el("summary", {}, name === "unknown" ? el("span", { class: "unknown" }, name) : el("span", { class: name === "error" ? "critical" : name }, name),
        ` (${rules.length})`),
      table([["rule", ""], ["about", ""], ["severity", ""], ["since", "n"], ["condition", "hide-phone"]], rows));
  });
}
function drawMeasures(found) {
  const rows = found.measures.map((m) => el("tr", {}, cell(m.name), cell(m.subject, "dim"),
    cell(shown(m, m.unit), "n"), cell(el("span", { class: "dim" }, m.value === null ? m.reason : age(m.age_s)), "")));
  const more = found.total > found.measures.length;
  return [el("div", { class: "dim" }, `${found.total} measures${more ? `, the first ${found.measures.length} shown: filter to see others` : ""}`),
    table([["measure", ""], ["about", ""], ["value", "n"], ["age or why absent", ""]], rows)];
}
function keepOpen(box, nodes) {
  // A redraw must not close what the reader opened.
  const open = new Map([...box.querySelectorAll("details")].map((d) => [d.dataset.group, d.open]));
  box.replaceChildren(...nodes);
  for (const node of box.querySelectorAll("details")) if (open.has(node.dataset.group)) node.open = open.get(node.dataset.group);
}
function draw(state) {
  drawBanner(state);
  keepOpen($("alerts"), drawAlerts(state));
  $("portfolio").replaceChildren(drawPortfolio(state));
  $("would-have").replaceChildren(...drawWouldHave(state));
  $("accounts").replaceChildren(el("div", { class: "cards" }, state.accounts.map(drawAccount)), ...drawUnwatched(state));
  $("feeds").replaceChildren(...drawFeeds(state));
  keepOpen($("rules"), drawRules(state));
}
function silent(reason) {
  $("banner").dataset.tone = "danger";
  $("verdict").textContent = "riskd does not answer";
  $("verdict").className = "danger";
  $("verdict-text").textContent = `${reason} What is below is old. Check the process; your watchdog should have paged.`;
  document.title = "NO ANSWER · riskd";
}
async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`It answered with status ${answer.status}.`);
  return answer.json();
}
async function refresh() {
  try {
    draw(await ask("/v1/state"));
    const words = encodeURIComponent($("filter").value);
    $("measures").replaceChildren(...drawMeasures(await ask(`/v1/measures?q=${words}`)));
  } catch (error) { silent(error.message); }
}
async function live() {
  for (;;) {
    await refresh();
    await new Promise((done) => setTimeout(done, 1000));
  }
}
$("filter").addEventListener("input", refresh);
live();
