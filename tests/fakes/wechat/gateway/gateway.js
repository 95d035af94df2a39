// A real wechaty gateway whose WeChat account is made of lines: PuppetServer (gRPC) over PuppetMock.
//
//   node gateway.js --grpc 127.0.0.1:18788 --token test-token [--ctl PORT] [--tls] [--no-login]
//
// On stdout: `READY http://127.0.0.1:PORT` (the control) once it can be used, and from then on one JSON object a line:
// {"sent": …} what the bot has sent, {"listening": bool} whether a client holds the event stream, {"started": true} at
// each Start.
// With --no-login the puppet waits for a client's Start, and for POST /login. With --tls it has the package's own
// certificate, which is made for nobody.
//
// Control (JSON in, JSON out; see ROUTES): what people and the phone do, faults, and what was seen. Contacts have ids
// without "@", rooms with. Whoever is named and not there yet is made.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { extname } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { FileBox } from "file-box";
import { PuppetMock, mock } from "wechaty-puppet-mock";
import { PuppetServer } from "wechaty-puppet-service";

const { values: options } = parseArgs({
  options: {
    grpc: { type: "string", default: "127.0.0.1:18788" },
    ctl: { type: "string", default: "0" },
    token: { type: "string", default: "test-token" },
    tls: { type: "boolean", default: false },
    "no-login": { type: "boolean", default: false },
  },
});

const BOT = "bot";
const QRCODE = "https://login.example.invalid/qr";
const WAITING = 2; // ScanStatus
const TEXT = 7; // message types: wechaty-puppet's numbers, not those of the proto
const URL_LINK = 14;
const TYPES = { ".png": 6, ".jpg": 6, ".jpeg": 6, ".gif": 6, ".mp4": 15, ".silk": 2, ".sil": 2, ".mp3": 2 };
const ATTACHMENT = 1;

const faults = { failures: 0, failure: "", delay: 0 };
const files = new Map(); // message id -> () => FileBox: a stream can be read only once
const links = new Map(); // message id -> {title, url, description}
const aliases = new Map(); // "room contact" -> alias
const sent = [];
const events = [];

function typeOf(name) {
  return TYPES[extname(name)] ?? ATTACHMENT;
}

function tell(line) {
  console.log(JSON.stringify(line));
}

// ------------------------------------------------------------------ the puppet

class LinePuppet extends PuppetMock {
  async messageSendText(conversationId, text, mentions = []) {
    return this.deliver("text", conversationId, { text, mentions }, { type: TEXT, text, mentions });
  }

  async messageSendFile(conversationId, file) {
    const data = await file.toBuffer();
    const about = { name: file.name, size: data.length, mediaType: file.mediaType };
    const message = { type: typeOf(file.name), filename: file.name };
    return this.deliver("file", conversationId, { file: about }, message, data);
  }

  async messageSendUrl(conversationId, url) {
    return this.deliver("url", conversationId, { url }, { type: URL_LINK });
  }

  // A send as a phone does it: it has an id, and comes back as an own message.
  async deliver(kind, conversationId, content, message, data) {
    await sleep(faults.delay);
    if (faults.failures > 0) {
      faults.failures -= 1;
      throw new Error(faults.failure);
    }
    if (!this.isLoggedIn) throw new Error("not logged in");
    const id = inject(this.currentUserId, conversationId, message);
    const record = { id, kind, conversationId, time: Date.now(), ...content };
    sent.push(record);
    tell({ sent: data ? { ...record, base64: data.toString("base64") } : record });
    return id;
  }

  async messageFile(id) {
    if (!files.has(id)) throw new Error("no filebox cache");
    return files.get(id)();
  }

  async messageImage(id) {
    return this.messageFile(id);
  }

  async messageUrl(id) {
    return links.get(id) ?? super.messageUrl(id);
  }

  async messageRecall(id) {
    sent.push({ id, kind: "recall", time: Date.now() });
    return true;
  }

  async roomMemberRawPayload(roomId, contactId) {
    const payload = await super.roomMemberRawPayload(roomId, contactId);
    return { ...payload, roomAlias: aliases.get(`${roomId} ${contactId}`) };
  }
}

const mocker = new mock.Mocker();
const puppet = new LinePuppet({ mocker });

// ------------------------------------------------------------------ the world

function contact(id, name = id[0].toUpperCase() + id.slice(1)) {
  if (mocker.cacheContactPayload.has(id)) return mocker.ContactMock.load(id);
  return mocker.createContact({ id, name, alias: "" });
}

function room(id, topic = "Room 1", members = []) {
  if (mocker.cacheRoomPayload.has(id)) return mocker.RoomMock.load(id);
  const memberIdList = [BOT, "alice", "bob", ...members];
  return mocker.createRoom({ id, topic, memberIdList, adminIdList: [], avatar: "", ownerId: "alice" });
}

// A message from somebody to a contact or into a room; gives its id. Nobody is told when the conversation is unknown.
function inject(talkerId, conversationId, { id = randomUUID(), mentions = [], timestamp = Date.now(), ...content }) {
  const place = conversationId.includes("@")
    ? { roomId: mocker.RoomMock.load(conversationId).id, mentionIdList: mentions }
    : { listenerId: mocker.ContactMock.load(conversationId).id };
  mocker.MessageMock.create({ id, talkerId, timestamp, ...content, ...place });
  puppet.emit("message", { messageId: id });
  return id;
}

// A reader of a file: {name, base64, box: base64 | buffer | stream}, or {name, url, box: url}.
function fileBox({ name, base64, url, box = "base64" }) {
  if (box === "url") return () => FileBox.fromUrl(url, { name });
  if (box === "base64") return () => FileBox.fromBase64(base64, name);
  const data = Buffer.from(base64, "base64");
  if (box === "buffer") return () => FileBox.fromBuffer(data, name);
  return () => FileBox.fromStream(Readable.from([data]), name);
}

function login(user = contact(BOT, "FastBot")) {
  mocker.login(user);
  puppet.emit("ready", { data: "ready" });
}

mocker.use(() => {
  // At every start of the puppet.
  contact(BOT, "FastBot");
  contact("alice");
  contact("bob");
  room("r1@chatroom");
  mocker.scan(QRCODE, WAITING);
  const scanned = setTimeout(() => options["no-login"] || puppet.isLoggedIn || login(), 300);
  return () => clearTimeout(scanned);
});

for (const name of ["start", "stop", "login", "logout", "scan", "ready", "error"]) {
  puppet.on(name, (payload) => events.push({ name, ...payload }));
}
// The server listens to the puppet's dongs while, and only while, a client holds the event stream.
puppet.on("newListener", (name) => name === "dong" && tell({ listening: true }));
puppet.on("removeListener", (name) => name === "dong" && tell({ listening: false }));

// ------------------------------------------------------------------ the control

async function serve() {
  const tls = options.tls ? {} : { tls: { disable: true } };
  const server = new PuppetServer({ endpoint: options.grpc, puppet, token: options.token, ...tls });
  await server.start();
  return server;
}

const ROUTES = {
  // {from, to | room, text | file | link, type, id, mentions, at}; `at`: milliseconds
  "POST /say": ({ id = randomUUID(), from = "alice", to = BOT, room: where, text = "", file, link, ...more }) => {
    const { type, mentions, at } = more;
    if (file) files.set(id, fileBox(file));
    if (link) links.set(id, link);
    const guessed = file ? typeOf(file.name) : link ? URL_LINK : TEXT;
    const place = where ? room(where, undefined, [from]).id : contact(to).id;
    const message = { id, type: type ?? guessed, text, filename: file?.name, mentions, timestamp: at };
    return { messageId: inject(contact(from).id, place, message) };
  },
  "POST /resend": ({ messageId }) => void puppet.emit("message", { messageId }),
  "POST /login": ({ id, name }) => login(id && contact(id, name)),
  "POST /logout": () => puppet.logout("test"),
  "POST /scan": ({ qrcode = QRCODE, status = WAITING }) => mocker.scan(qrcode, status),
  "POST /contact": ({ id, name }) => void contact(id, name),
  "POST /room": ({ id, topic, members }) => void room(id, topic, members),
  "POST /alias": async ({ room: where, id = BOT, alias }) => {
    aliases.set(`${where} ${id}`, alias);
    await puppet.roomMemberPayloadDirty(where);
  },
  "POST /dong": () => puppet.ding("x"),
  "POST /error": ({ message }) => void puppet.emit("error", { data: message, gerror: JSON.stringify({ message }) }),
  "POST /fail": ({ n = 1, message = "puppet failed" }) => void Object.assign(faults, { failures: n, failure: message }),
  "POST /delay": ({ ms }) => void Object.assign(faults, { delay: ms }),
  "POST /drop": async () => {
    await server.stop();
    await sleep(200);
    server = await serve();
  },
  "GET /sent": ({ clear }) => (clear ? sent.splice(0) : sent),
  "GET /state": () => ({
    loggedIn: puppet.isLoggedIn,
    user: puppet.isLoggedIn ? puppet.currentUserId : null,
    events,
    contacts: [...mocker.cacheContactPayload.keys()],
    rooms: [...mocker.cacheRoomPayload.keys()],
  }),
};

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
  const route = ROUTES[`${request.method} ${pathname}`];
  if (!route) return [404, { error: "no such call" }];
  try {
    const body = Buffer.concat(await request.toArray()).toString();
    return [200, (await route(body ? JSON.parse(body) : Object.fromEntries(searchParams))) ?? {}];
  } catch (error) {
    return [500, { error: error.message }];
  }
}

const control = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
});

process.on("SIGTERM", () => process.exit(0)); // an orderly exit: the package then removes its folder of uploads
let server = await serve();
if (!options["no-login"]) {
  const ready = new Promise((resolve) => puppet.once("ready", resolve));
  await puppet.start();
  await ready;
}
puppet.on("start", () => tell({ started: true })); // from here on it is a client that asked for it
control.listen(Number(options.ctl), "127.0.0.1", () => console.log(`READY http://127.0.0.1:${control.address().port}`));
