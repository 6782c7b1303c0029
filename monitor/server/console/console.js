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
  $("banner").dataset.mode = state.riskd.mode;
  $("mode").replaceChildren(el("b", {}, MODES[state.riskd.mode] || "mode unknown"), ` ${state.riskd.mode_text}`);
  $("desk").textContent = state.riskd.desk;
  $("simulated").hidden = !state.riskd.simulated;
  $("clock").textContent = `${new Date(state.riskd.now_ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
  document.title = `${$("verdict").textContent} · riskd ${state.riskd.desk}`;
}
function drawAlert(a, named) {
  // What riskd did stands in the summary already; it is not said twice.
  const action = a.action && a.action !== "none" && !/WOULD HAVE|ASKED to/.test(a.summary) ? a.action : null;
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
const LEVELS = ["normal", "caution", "reduce only", "cut", "halt", "flatten"];
const MODES = { observe: "OBSERVE", rehearse: "REHEARSE", armed: "ARMED" };
const unknown = (text) => el("span", { class: "unknown" }, text);
// A fact with its name before it; what the document does not say is unknown, never empty.
const fact = (label, value) => el("div", { class: "fact" }, el("span", { class: "label" }, label),
  el("span", { class: "value" }, value === null || value === undefined || value === "" ? unknown("unknown") : value));
// A command to copy: one click or tap selects it whole.
const command = (text) => text ? el("code", { class: "command", tabindex: "0", title: "select and copy" }, text) : unknown("no command known");
function left(latch) {
  if (!Array.isArray(latch.left)) return unknown("unknown");
  if (!latch.left.length) return ["contained", "rearm_requested"].includes(latch.stage) ? el("span", { class: "ok" }, "nothing")
    : unknown("not known yet");
  const more = (latch.left_count || latch.left.length) - latch.left.length;
  return el("ul", {}, latch.left.map((one) => el("li", {}, one)), more > 0 ? el("li", { class: "dim" }, `and ${more} more`) : null);
}
function drawLatch(latch) {
  const stage = String(latch.stage || "unknown");
  return el("article", { class: `latch stage-${stage}` },
    el("div", { class: "line" },
      el("strong", { class: `level level-${latch.level}` }, String(latch.name || "unknown").replace("_", " ")),
      el("span", { class: "big" }, latch.scope), latch.goal ? el("span", { class: "dim" }, latch.goal) : null,
      el("span", { class: "stage" }, stage.replace("_", " "))),
    fact("for", latch.for_s === undefined ? null : age(latch.for_s)),
    fact("by", (latch.by || []).map((one) => el("div", {}, one.actor, one.reason ? el("span", { class: "dim" }, ` · ${one.reason}`) : null))),
    fact("blocked", latch.blocked), fact("not blocked", latch.not_blocked), fact("left", left(latch)),
    fact("what clears it", command(latch.clears)), fact("what it did", command(latch.explain)));
}
function drawHold(hold) {
  return el("article", { class: "hold" },
    el("div", { class: "line" }, el("strong", { class: "level level-2" }, "hold"), el("span", { class: "big" }, hold.scope)),
    fact("for", hold.for_s === undefined ? null : age(hold.for_s)),
    fact("by", [hold.by, el("span", { class: "dim" }, ` · ${hold.about}`)]),
    fact("blocked", hold.blocked), fact("released", hold.clears));
}
function drawProposal(one) {
  const late = typeof one.expires_s === "number" && one.expires_s <= 0;
  return el("article", { class: "proposal" },
    el("div", { class: "line" }, el("strong", { class: "level level-1" }, "asks you"),
      el("span", { class: "big" }, `${String(one.level).toLowerCase().replace("_", " ")} ${one.scope}`),
      el("span", { class: "stage" }, typeof one.expires_s !== "number" ? unknown("time left unknown") : late ? "expired" : `${age(one.expires_s)} left`)),
    fact("by", one.by), fact("it would", one.plan), fact("to approve", command(one.approve)),
    fact("to refuse", command(one.approve ? `${one.approve} --refuse` : "")));
}
function drawWouldHave(kill) {
  const acts = [...(kill.would_have || [])].reverse();
  if (!acts.length) return null;
  return el("details", { open: kill.mode === "observe" ? "" : null, "data-group": "would-have" },
    el("summary", {}, `WOULD HAVE done, by rules that observe (${acts.length})`),
    table([["when (UTC)", ""], ["what", ""]], acts.slice(0, 10).map((one) => el("tr", {},
      cell(new Date(one.at_ms).toISOString().slice(11, 19), "dim"), cell(one.text)))));
}
function killTone(kill) {
  if (!kill || !kill.mode) return "unknown";
  if (kill.problem) return "danger";
  if ((kill.latched || []).length) return kill.latched.some((one) => one.stage !== "contained") ? "danger" : "latched";
  return (kill.held || []).length || (kill.proposed || []).length ? "attention" : "quiet";
}
function drawKill(kill) {
  if (!kill || !kill.mode) return [unknown("unknown"), " riskd does not say what is latched: take everything for blocked."];
  const now = kill.would_happen_now || [];
  const acting = kill.mode !== "observe";
  return [
    kill.problem ? el("p", { class: "critical" }, `It started stricter than it was kept: ${kill.problem}`) : null,
    ...(kill.latched || []).map(drawLatch), ...(kill.held || []).map(drawHold), ...(kill.proposed || []).map(drawProposal),
    !(kill.latched || []).length && !(kill.held || []).length
      ? el("div", { class: "ok" }, "Nothing is latched, nothing is blocked.") : null,
    el("div", { class: "fact" }, el("span", { class: "label" }, "would happen now"),
      el("span", { class: "value" }, now.length ? el("ul", {}, now.map((one) => el("li", {}, one)),
        el("li", { class: "dim note" }, acting ? "Each is done, proposed or only recorded, as kill.rules says." : "In observe it is recorded, and nothing is sent."))
        : el("span", { class: "dim" }, "no firing rule asks for anything"))),
    drawWouldHave(kill),
  ].filter((node) => node !== null);
}
function drawLatched(kill) {
  const latched = (kill && kill.latched) || [], held = (kill && kill.held) || [];
  $("latched").hidden = !latched.length && !held.length;
  $("latched").className = latched.some((one) => one.stage !== "contained") ? "danger" : latched.length ? "attention" : "blind";
  $("latched").textContent = [
    ...latched.map((one) => `${String(one.name).replace("_", " ")} ${one.scope}: ${String(one.stage).replace("_", " ")}`),
    ...held.map((one) => `hold ${one.scope}`)].join(" · ");
  $("kill-box").dataset.tone = killTone(kill);
  $("kill-text").textContent = kill && kill.text ? kill.text : "";
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
    cell(f.channels || f.state !== "fresh" ? age(f.age_s) : `open ${age(f.age_s)}`, "n"), cell(f.cadence_s ? `every ${short.format(f.cadence_s)} s` : "on change", "n hide-phone"),
    cell(el("span", { class: "dim" }, f.reason || ""), "")));
  const read = (state.history || []).filter((h) => !h.ready);
  return [...read.map((h) => el("p", {}, el("span", { class: "unknown" }, "history"), ` ${h.text}`)),
    table([["state", ""], ["feed", ""], ["last sign of life", "n"], ["speaks", "n hide-phone"], ["why", ""]], rows)];
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
  drawLatched(state.kill);
  keepOpen($("kill"), drawKill(state.kill));
  keepOpen($("alerts"), drawAlerts(state));
  $("portfolio").replaceChildren(drawPortfolio(state));
  $("accounts").replaceChildren(el("div", { class: "cards" }, state.accounts.map(drawAccount)), ...drawUnwatched(state));
  $("feeds").replaceChildren(...drawFeeds(state));
  keepOpen($("rules"), drawRules(state));
}
function silent(reason) {
  $("kill-box").dataset.tone = "unknown";
  $("kill-text").textContent = "unknown since riskd stopped answering";
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
