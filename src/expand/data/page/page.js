"use strict";
const at = (id) => document.getElementById(id);
const WORDS = {
  take: "Approve", back: "Send back with the note", skip: "Leave for later", quit: "Stop here",
  length: "Take the length as it is", again: "Ask again", outline: "Change the outline to this length",
};
let state = {}, chosen = 0, asked = 0, seen = "";

const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const make = (name, text, className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
};
const figure = (number) => (number ?? 0).toLocaleString("en");

async function act(action, given) {
  try {
    const answer = await fetch(action, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
    });
    put(at("refused"), answer.ok ? "" : await answer.text());
  } catch { at("lost").hidden = false; }
}

function row(parts, current, className, onclick) {
  const item = document.createElement("li"), button = make("button", "", `row ${className}`);
  button.type = "button";
  button.setAttribute("aria-current", String(current));
  button.append(...parts);
  button.addEventListener("click", onclick);
  item.append(button);
  return item;
}

function bar(done, all) {
  const made = document.createElement("progress");
  made.max = Math.max(1, all);
  made.value = Math.min(done, all);
  return made;
}

function listed(list, items) {
  const key = JSON.stringify(items.map(([key]) => key));
  if (list.dataset.key === key) return;  // a button that has the focus stays the same
  list.dataset.key = key;
  list.replaceChildren(...items.map(([, build]) => build()));
}

function stateOf(number, section) {
  if (state.question?.section === number) return "waits for your decision";
  if (state.running && state.section === number) return "being written";
  const warnings = section.findings.filter((one) => one.severity !== "note").length;
  const found = warnings ? `, ${warnings} finding${warnings > 1 ? "s" : ""}` : "";
  return (section.approved ? "approved" : section.lines ? "not approved yet" : "not drafted") + found;
}

function render() {
  put(at("title"), state.title);
  document.title = `${state.question ? "● " : ""}${state.title} – expand`;
  const { limit, used, reserved, remaining } = state.budget;
  at("used").max = limit || Math.max(1, used);
  at("used").value = used + reserved;
  put(at("sums"), `${figure(used)} used, ${figure(reserved)} reserved${limit === null ? "" : `, ${figure(remaining)} remaining`}`);
  const now = Object.values(state.sections).reduce((sum, one) => sum + one.lines, 0);
  for (const one of state.chapters) if (one.id === state.chapter) one.lines = Math.max(one.lines, now);
  listed(at("chapters"), state.chapters.map((one) => [[one, one.id === state.chapter, state.running], () => row(
    [make("span", `${one.id} ${one.title}`), make("small", `${figure(one.lines)} / ${figure(one.target)}`), bar(one.lines, one.target)],
    one.id === state.chapter, "", () => { chosen = 0; act("/show", { chapter: one.id }); })]));
  at("none").hidden = state.chapters.length > 0;
  const chapter = state.chapters.find((one) => one.id === state.chapter);
  at("controls").hidden = !chapter;
  put(at("name"), chapter ? `${chapter.id} ${chapter.title}` : "");
  at("start").disabled = at("tokens").disabled = state.running;
  at("stop").disabled = !state.running;
  put(at("stop"), state.stopping ? "Stopping…" : "Stop");
  const current = chosen || state.section;
  listed(at("sections"), Object.entries(state.sections).map(([key, one]) => {
    const number = Number(key), said = stateOf(number, one);
    const className = state.question?.section === number ? "asked" : one.approved ? "approved" : "";
    const unit = one.unit === "lines" ? "" : ` ${one.unit}`;
    return [[number, one.title, one.extent, one.target, said, number === current], () => row(
      [make("span", `${number}. ${one.title}`), make("small", `${figure(one.extent)} / ${figure(one.target)}${unit}`),
        bar(one.extent, one.target), make("small", said, "state")],
      number === current, className, () => { chosen = number; render(); })];
  }));
  listed(at("notices"), state.notices.map((one, number) => [[number, one], () => make("li", one)]));
  read(current);
}

function read(number) {
  const { question } = state, section = state.sections[number];
  const asking = question && question.section === number && !(chosen && chosen !== number);
  const live = asking || (state.running && number === state.section && !chosen);
  at("reader").hidden = !section && !asking;
  put(at("heading"), asking ? `${question.title}${question.length && `: ${question.length}`}` : section ? `${number}. ${section.title}` : "");
  at("question").hidden = !asking;
  if (asking && asked !== question.id) {
    asked = question.id;
    at("note").value = "";
    put(at("refused"), "");
    at("reader").scrollTop = 0;
    at("choices").replaceChildren(...question.choices.map((choice) => {
      const button = make("button", WORDS[choice], choice === "take" ? "first" : "");
      button.type = "button";
      button.addEventListener("click", () => act("/decide", { id: question.id, choice, note: at("note").value }));
      return button;
    }));
  }
  const findings = asking ? question.findings : live || !section ? [] : section.findings;
  listed(at("findings"), findings.map((one) => [one, () => make("li", `${one.kind}: ${one.message}`, one.severity)]));
  show(asking ? question.text : live ? state.text : section?.text ?? "", live && !asking);
}

function show(text, growing) {
  const reader = at("reader"), low = reader.scrollTop + reader.clientHeight > reader.scrollHeight - 80;
  put(at("text"), text);
  if (growing && low) reader.scrollTop = reader.scrollHeight;
}

at("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  chosen = 0;
  const given = at("tokens").value;
  act("/start", { chapter: state.chapter, budget: given === "" ? null : Number(given) });
});
at("question").addEventListener("submit", (event) => event.preventDefault());
at("stop").addEventListener("click", () => act("/stop", {}));
async function look() {
  try {
    const answer = await fetch("/state", { headers: { "If-None-Match": seen }, cache: "no-store" });
    at("lost").hidden = answer.status !== 403;  // another server has taken the port
    if (answer.status === 200) {
      seen = answer.headers.get("ETag");
      const before = state.question?.id;
      state = await answer.json();
      if (state.question && state.question.id !== before) chosen = 0;
      render();
    }
  } catch { at("lost").hidden = false; }
  setTimeout(look, 500);
}
look();
