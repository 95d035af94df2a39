// The chat page. The server sends the state (see stream.py) and this file puts it on the screen.
//
// Rules of this file: only HTML that the server rendered goes through innerHTML, everything else is text; a message
// keeps its id until the server has it, so sending it again is harmless; what could not be sent is never thrown away.
"use strict";

const chinese = navigator.language.toLowerCase().startsWith("zh");
const T = chinese ? {
  fresh: "新对话", line: "新对话", hint: "有什么可以帮你？", ask: "输入消息…", send: "发送", copy: "复制",
  copied: "已复制", lost: "连接已断开，正在重新连接…", unsent: "未发送", retry: "重试", failed: "没有成功，请再试一次。",
  thinking: "思考过程", sources: "引用来源", submit: "提交", cookies: "请允许此网站使用 Cookie，否则无法对话。", you: "你", bot: "回答",
} : {
  fresh: "New chat", line: "New conversation", hint: "What can I help you with?", ask: "Message…", send: "Send",
  copy: "Copy", copied: "Copied", lost: "Connection lost, reconnecting…", unsent: "Not sent",
  retry: "Retry", failed: "That did not work. Please try again.", thinking: "Thinking", sources: "Sources",
  submit: "Submit", cookies: "Allow cookies for this site, or it cannot answer you.", you: "You", bot: "Answer",
};
const base = location.pathname.replace(/\/*$/, "/");
const kept = `unsent:${base}`;
const $ = (id) => document.getElementById(id);
const scroll = $("scroll"), log = $("log"), text = $("text"), form = $("composer"), banner = $("banner"), toast = $("toast");
const shown = new Map(); // id -> element of an entry
const unsent = new Map(Object.entries(JSON.parse(sessionStorage.getItem(kept) || "{}"))); // id -> text
let boot = null; // the life of the server that filled this page
let stale = new Set(); // ids not confirmed by the state that is arriving
let source, delay = 1000, hideToast;
let pinned = true, before = 0; // pinned: the newest line stays in sight

function make(tag, name = "", words = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (words) element.textContent = words;
  return element;
}

function button(name, words, press) {
  const element = make("button", name, words);
  element.type = "button";
  element.onclick = press;
  return element;
}

function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function say(words) {
  toast.textContent = words;
  toast.hidden = !words;
  clearTimeout(hideToast);
  hideToast = setTimeout(() => { toast.hidden = true; }, 4000);
}

// ---------------------------------------------------------------- the stream

function connect() {
  source?.close();
  source = new EventSource(`${base}events`);
  source.onopen = () => {
    delay = 1000;
    banner.hidden = true;
    for (const id of unsent.keys()) post(id);
  };
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    banner.textContent = navigator.cookieEnabled ? T.lost : T.cookies;
    banner.hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(reconnect, delay); // refused: the browser gives up by itself
  };
}

async function reconnect() {
  delay = Math.min(2 * delay, 30000);
  const page = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (page?.status === 401) location.reload(); // the login has ended
  else if (!document.hidden) connect();
}

function take(data) {
  if (data.begin) {
    stale = new Set(shown.keys());
    // A server that has just been started resumes the answer that was being written.
    if (boot && boot !== data.begin) for (const [id, el] of shown) if (el.classList.contains("live")) stale.delete(id);
    boot = data.begin;
  } else if (data.ready) {
    for (const id of stale) if (!unsent.has(id)) remove(id);
    $("empty").hidden = shown.size > 0;
  } else if (data.gone) {
    if (!unsent.has(data.gone)) remove(data.gone);
  } else {
    stale.delete(data.id);
    if (data.html) answer(data);
    else question(data.id, data.text, data.after); // sent or not is what the POST's reply says
  }
}

function remove(id) {
  shown.get(id)?.remove();
  shown.delete(id);
}

function entry(id, name, after, label) {
  let element = shown.get(id);
  if (!element) {
    element = make("article", name);
    element.setAttribute("aria-label", label);
    shown.set(id, element);
    const above = shown.get(after);
    if (above) above.after(element);
    else if (after === "") log.prepend(element);
    else log.append(element);
    $("empty").hidden = true;
  }
  return element;
}

// ---------------------------------------------------------------- answers

function answer(data) {
  const el = entry(data.id, "answer", data.after, T.bot);
  if (!el.firstChild) el.append(make("div", "thinking"), make("div", "text"), make("p", "status"), make("div", "extra"));
  const [thinking, body, status, extra] = el.children;
  el.classList.toggle("live", Boolean(data.live));
  el.setAttribute("aria-busy", String(Boolean(data.live))); // a screen reader waits for the whole answer
  while (body.children.length > data.keep) body.lastChild.remove();
  for (const html of data.html) {
    const piece = make("div");
    piece.innerHTML = html; // rendered and made safe by render.py
    for (const pre of piece.querySelectorAll("pre")) pre.prepend(copier(pre));
    body.append(piece);
  }
  status.textContent = data.status || "";
  status.hidden = !data.status;
  if (!data.thinking) thinking.replaceChildren();
  else if (thinking.firstChild) thinking.firstChild.lastChild.textContent = data.thinking;
  else thinking.append(fold(T.thinking, [make("p", "", data.thinking)]));
  if (data.extra) extra.replaceChildren(...under(data.id, data.extra));
}

function fold(title, inside) {
  const details = make("details");
  details.append(make("summary", "", title), ...inside);
  return details;
}

function copier(pre) {
  const copy = button("copy", T.copy, async () => {
    const code = pre.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch { // the clipboard is there for https only
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    copy.textContent = T.copied;
    setTimeout(() => { copy.textContent = T.copy; }, 1500);
  });
  return copy;
}

function under(id, { sources = [], files = [], form = null, buttons = [] }) {
  const all = files.map(({ url, name }) => link(url, name));
  if (sources.length) {
    all.push(fold(`${T.sources} (${sources.length})`, sources.map(({ name, text, answer }) => {
      const line = make("p");
      line.append(make("b", "", name), [text, answer].filter(Boolean).join("\n"));
      return line;
    })));
  }
  if (form) all.push(asked(id, form));
  for (const { key, label, role } of buttons) {
    const act = () => press(id, key, {}, role === "stop");
    all.push(role === "link" ? link(key, label) : button(`button ${role}`, label, act));
  }
  return all;
}

function link(address, label) {
  const a = make("a", "button", label);
  if (/^https?:\/\//i.test(address)) a.href = address;
  a.target = "_blank";
  a.rel = "noopener noreferrer";
  return a;
}

function asked(id, { key, title, fields }) {
  const box = make("form");
  box.append(make("p", "", title));
  for (const field of fields) {
    const kind = field.kind || "text";
    const input = make({ paragraph: "textarea", select: "select" }[kind] || "input");
    if (input.tagName === "INPUT") input.type = kind;
    if (kind === "number") Object.assign(input, { min: field.least ?? "", max: field.most ?? "", step: "any" });
    for (const [label, value] of field.options || []) input.add(new Option(label, value));
    input.name = field.key;
    input.required = Boolean(field.required);
    if (field.default) input.value = field.default;
    const label = make("label", "", field.label + (field.required ? " *" : ""));
    label.append(input);
    box.append(label);
  }
  box.append(make("button", "primary", T.submit));
  box.onsubmit = (event) => {
    event.preventDefault();
    press(id, key, Object.fromEntries(new FormData(box)));
  };
  return box;
}

async function press(target, key, values = {}, once = false) {
  const buttons = shown.get(target)?.querySelectorAll(".extra button") || [];
  for (const button of buttons) button.disabled = true;
  const { ok, body } = await call("presses", { id: freshId(), target, key, values });
  say(ok ? body.toast : body.error || T.failed);
  if (!(ok && once)) for (const button of buttons) button.disabled = false;
}

// ---------------------------------------------------------------- questions

function question(id, words, after) { // known ones change their state only
  const line = /^\s*(\/new|\/reset|新对话)\s*$/i.test(words);
  const el = entry(id, line ? "divider" : "question", after, line ? T.line : T.you);
  if (!el.firstChild) el.append(make("p", "", line ? T.line : words));
  el.classList.toggle("waiting", unsent.has(id));
  el.querySelector(".fault")?.remove();
  return el;
}

function send(words) {
  const id = freshId();
  unsent.set(id, words);
  remember(); // over a reload of the page
  pinned = true;
  post(id);
}

async function post(id) {
  const el = question(id, unsent.get(id));
  const { ok, body } = await call("messages", { id, text: unsent.get(id) });
  if (ok) {
    unsent.delete(id);
    remember();
    question(id, "");
  }
  if (!unsent.has(id) || el.querySelector(".fault")) return;
  const fault = make("div", "fault", body.error || T.unsent);
  fault.append(button("button", T.retry, () => post(id)));
  el.append(fault);
}

function remember() {
  sessionStorage.setItem(kept, JSON.stringify(Object.fromEntries(unsent)));
}

async function call(path, data) {
  try {
    const reply = await fetch(base + path, { method: "POST", body: JSON.stringify(data) });
    const json = reply.headers.get("Content-Type")?.includes("json");
    return { ok: reply.ok, body: json ? await reply.json() : {} };
  } catch { // no connection: the banner says so
    return { ok: false, body: {} };
  }
}

// ---------------------------------------------------------------- scrolling

scroll.onscroll = () => { // only a move upwards lets go: text may have come since the last one
  const near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  pinned = near || (pinned && scroll.scrollTop >= before);
  before = scroll.scrollTop;
};
const follow = new ResizeObserver(() => { if (pinned) scroll.scrollTop = scroll.scrollHeight; });
follow.observe(log); // text came
follow.observe(scroll); // the composer grew, a keyboard opened

// ---------------------------------------------------------------- the composer

function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  $("send").disabled = !text.value.trim();
}

form.onsubmit = (event) => {
  event.preventDefault();
  if (!text.value.trim()) return;
  send(text.value);
  text.value = "";
  grow();
  text.focus();
};
text.oninput = grow;
text.onkeydown = (event) => {
  // 229: Safari ends the composition before the Enter that chose a word
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  form.requestSubmit();
};
$("fresh").onclick = () => { send("/new"); text.focus(); };
// A browser has few connections per host: a page that nobody looks at gives its own back, and returns to the whole state.
document.onvisibilitychange = () => { if (document.hidden) source.close(); else connect(); };

document.documentElement.lang = chinese ? "zh" : "en";
$("fresh").textContent = T.fresh;
$("empty").textContent = T.hint;
$("send").setAttribute("aria-label", T.send);
text.setAttribute("aria-label", T.ask);
text.placeholder = T.ask;
for (const [id, words] of unsent) question(id, words);
grow();
connect();
