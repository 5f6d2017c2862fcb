"use strict";
// Shows what the emulator holds and asks again each second. All texts are set as text, never as HTML.

const ROOT = "/_emulator/page";
const view = document.getElementById("view");
const state = document.getElementById("state");
const warning = document.getElementById("warning");
let shown = "";
let log = { key: "", text: "", offset: null, follow: true };

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function time(text) {
  if (!text) return "";
  const moment = new Date(text);
  const isToday = moment.toDateString() === new Date().toDateString();
  const words = isToday ? moment.toLocaleTimeString() : moment.toLocaleString();
  return element("time", { datetime: text, title: moment.toLocaleString() }, words);
}

function seconds(from, to) {
  if (!from) return "";
  const all = Math.max(0, Math.round((new Date(to) - new Date(from)) / 1000));
  return all < 60 ? `${all} s` : `${Math.floor(all / 60)} min ${all % 60} s`;
}

// An id without the place that all ids of a workspace share; the whole id is its tooltip.
function short(id) {
  const found = /^\/?(?:.*\/)?subscriptions\/.+\/workspaces\/[^/]+\/(.+)$/i.exec(id || "");
  return found ? element("span", { title: id }, found[1]) : id;
}

function status(name) {
  return element("span", { class: `status ${name}` }, name);
}

// A column is [heading, value of a row, class].
function table(columns, rows, empty, rowClass = () => null) {
  if (!rows.length) return element("p", { class: "empty" }, empty);
  const head = element("tr", {}, ...columns.map(([name, , kind]) => element("th", { scope: "col", class: kind }, name)));
  const body = rows.map((row) =>
    element("tr", { class: rowClass(row) }, ...columns.map(([, value, kind]) => element("td", { class: kind }, value(row) ?? ""))),
  );
  return element("div", { class: "table" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "facts" }, ...given.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function jobLink(job) {
  return element("a", { href: `#/jobs/${job.workspace}/${encodeURIComponent(job.name)}` }, job.displayName || job.name);
}

function jobTable(jobs, now, empty) {
  return table(
    [
      ["Job", jobLink, "long"],
      ["State", (job) => status(job.status)],
      ["Experiment", (job) => job.experiment, "wide"],
      ["Compute", (job) => job.compute, "wide"],
      ["Created", (job) => time(job.created), "number"],
      ["Ran", (job) => seconds(job.started, job.ended || now), "number"],
    ],
    jobs,
    empty,
    (job) => (job.parent ? "child" : null),
  );
}

// The nodes of a pipeline follow it, in the order in which they ran.
function grouped(jobs) {
  const names = new Set(jobs.map((job) => job.workspace + job.name));
  const roots = jobs.filter((job) => !job.parent || !names.has(job.workspace + job.parent));
  const of = (root) => jobs.filter((job) => job.parent === root.name && job.workspace === root.workspace).reverse();
  return roots.flatMap((root) => [root, ...of(root)]);
}

function jobsView(data) {
  const more = data.counts.jobs - data.jobs.length;
  return [
    element("h2", {}, `Jobs (${data.counts.jobs})`),
    jobTable(grouped(data.jobs), data.now, "No job has been submitted yet."),
    more > 0 ? element("p", { class: "note" }, `${more} older jobs are not shown.`) : null,
  ];
}

function computesView(data) {
  return [
    element("h2", {}, `Computes (${data.computes.length})`),
    table(
      [
        ["Compute", (one) => one.name],
        ["Kind", (one) => one.kind],
        ["Size", (one) => one.size],
        ["State", (one) => one.state],
        ["Busy nodes", (one) => String(one.busy), "number"],
        ["Workspace", (one) => one.workspace, "wide"],
      ],
      data.computes,
      "There is no compute. Jobs without one run on serverless compute.",
    ),
  ];
}

function requestsView(data) {
  return [
    element("h2", {}, `Requests (${data.counts.requests})`),
    table(
      [
        ["Time", (one) => time(one.start), "number"],
        ["Method", (one) => one.method, "number"],
        ["Status", (one) => String(one.status ?? "none"), "number"],
        ["Path", (one) => short(one.path), "long"],
        ["Seconds", (one) => (one.duration === null ? "" : one.duration.toFixed(3)), "number wide"],
      ],
      data.requests,
      "No request has come in yet.",
    ),
  ];
}

function given(rule, without) {
  const entries = Object.entries(rule).filter(([name, value]) => {
    const isEmpty = value === null || value === false || value === "" || value === 0 || value === ".*";
    return !without.includes(name) && !isEmpty && !(typeof value === "object" && !Object.keys(value).length);
  });
  return entries.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

function faultsView(data) {
  return [
    element("h2", {}, "Armed faults"),
    table(
      [
        ["Requests", (one) => `${one.method} ${one.path}`.replaceAll(".*", "any"), "long"],
        ["Effect", (one) => given(one, ["method", "path", "times", "fired"])],
        ["Fired", (one) => `${one.fired} of ${one.times}`, "number"],
      ],
      data.faults,
      "No fault is armed.",
    ),
    element("h2", {}, "Armed scenarios"),
    table(
      [
        ["Scenario", (one) => one.name],
        ["Jobs", (one) => one.jobs || "all"],
        ["Fired", (one) => `${one.fired} of ${one.times}`, "number"],
      ],
      data.scenarios,
      "No scenario is armed.",
    ),
  ];
}

function dataTable(items, empty) {
  return table(
    [
      ["Name", (item) => item.name],
      ["Type", (item) => item.type],
      ["Value", (item) => (item.value === null || item.value === undefined ? "" : String(item.value)), "long"],
      ["Mode", (item) => item.mode || "", "wide"],
      ["Asset", (item) => item.asset || "", "wide"],
    ],
    items,
    empty,
  );
}

async function jobView(workspace, name, file, now) {
  const path = `${ROOT}/jobs/${workspace}/${encodeURIComponent(name)}`;
  const job = await ask(path);
  if (job.error && !job.status) return [element("p", { class: "empty" }, job.error)];
  const chosen = job.logs.find((one) => one.name === file) || job.logs[0];
  if (chosen) await readLog(path, chosen);
  const tags = Object.entries(job.tags).map(([key, value]) => `${key}=${value}`).join(", ");
  return [
    element("h2", {}, job.displayName || job.name, " ", status(job.status)),
    job.error ? element("p", { class: "error" }, `${job.error.code}: ${job.error.message}`) : null,
    facts([
      ["Name", job.name],
      ["Pipeline", job.parent ? element("a", { href: `#/jobs/${job.workspace}/${encodeURIComponent(job.parent)}` }, job.parent) : ""],
      ["Type", job.type],
      ["Experiment", job.experiment],
      ["Workspace", job.workspaceName],
      ["Compute", job.compute],
      ["Environment", short(job.environment)],
      ["Code", short(job.code)],
      ["Created", time(job.created)],
      ["Ran", seconds(job.started, job.ended || now)],
      ["Attempt", job.attempt > 1 ? String(job.attempt) : ""],
      ["Variables", job.variables.join(", ")],
      ["Tags", tags],
    ]),
    job.command ? element("h3", {}, "Command") : null,
    job.command ? element("pre", {}, job.command) : null,
    job.children.length ? element("h3", {}, "Nodes") : null,
    job.children.length ? jobTable(job.children, now, "") : null,
    element("h3", {}, "Inputs"),
    dataTable(job.inputs, "The job has no inputs."),
    element("h3", {}, "Outputs"),
    dataTable(job.outputs, "The job has no outputs."),
    element("h3", {}, "Log"),
    job.logs.length > 1 ? logLinks(job, chosen) : null,
    chosen ? element("pre", { class: "log", tabindex: "0" }, log.text || " ") : element("p", { class: "empty" }, job.type === "Pipeline" ? "A pipeline has no log: its nodes have." : "The job has no log yet."),
  ];
}

function logLinks(job, chosen) {
  const base = `#/jobs/${job.workspace}/${encodeURIComponent(job.name)}/`;
  const links = job.logs.map((one) =>
    element("a", { href: base + encodeURIComponent(one.name), "aria-current": one === chosen ? "true" : null }, one.name),
  );
  return element("nav", { "aria-label": "Logs" }, ...links);
}

// One after the other: two views that are made at once must not both add the same part.
let reading = Promise.resolve();
function readLog(path, file) {
  reading = reading.catch(() => null).then(() => readMore(path, file));
  return reading;
}

// Only what is new of a log is asked for.
async function readMore(path, file) {
  const key = `${path}/${file.name}`;
  if (log.key !== key || (log.offset !== null && file.size < log.offset)) log = { key, text: "", offset: null, follow: true };
  while (log.offset === null || file.size > log.offset) {
    const from = log.offset === null ? "" : `&from=${log.offset}`;
    const answer = await fetch(`${path}/log?file=${encodeURIComponent(file.name)}${from}`, { cache: "no-store" });
    if (!answer.ok) return;
    const begin = Number(answer.headers.get("X-Begin"));
    if (log.offset === null && begin > 0) log.text = "(the beginning is not shown)\n";
    log.text += await answer.text();
    const offset = Number(answer.headers.get("X-Offset"));
    if (log.offset === offset) return;
    log.offset = offset;
  }
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (answer.status === 401) throw new Error("The session is over: run `zenml-azureml emulator open` again.");
  return answer.json();
}

async function content(route, data) {
  const [kind, workspace, name, file] = route;
  if (kind === "computes") return computesView(data);
  if (kind === "requests") return requestsView(data);
  if (kind === "faults") return faultsView(data);
  if (workspace && name) return jobView(workspace, name, file, data.now);
  return jobsView(data);
}

function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return parts[0] ? parts : ["jobs"];
}

// The page is only changed where it would look different, so that selections and scrolling stay.
function show(children) {
  const fresh = element("main", {}, ...children);
  if (fresh.innerHTML === shown) return;
  const old = view.querySelector("pre.log");
  const follows = !old || old.scrollTop + old.clientHeight >= old.scrollHeight - 4;
  const top = old ? old.scrollTop : 0;
  const focused = view.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  shown = fresh.innerHTML;
  view.replaceChildren(...fresh.childNodes);
  const now = view.querySelector("pre.log");
  if (now) now.scrollTop = follows ? now.scrollHeight : top;
  if (focused) [...view.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
}

let turn = 0;
async function refresh() {
  const mine = ++turn;
  const wanted = route();
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.getAttribute("href") === `#/${wanted[0]}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const data = await ask(`${ROOT}/data`);
    const children = await content(wanted, data);
    if (mine !== turn) return;
    show(children.filter((child) => child !== null));
    const words = data.notSaved ? `The state is not saved at the moment. ${data.notSaved}` : "";
    if (warning.textContent !== words) warning.textContent = words;
    warning.hidden = !words;
    state.className = "";
    state.textContent = `Live: ${data.address}`;
  } catch (error) {
    if (mine !== turn) return;
    state.className = "lost";
    state.textContent = error instanceof TypeError ? "The emulator does not answer." : error.message;
  }
}

async function live() {
  if (!document.hidden) await refresh();
  setTimeout(live, 1000);
}

addEventListener("hashchange", refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
live();
