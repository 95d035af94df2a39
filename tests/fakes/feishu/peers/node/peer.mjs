// The official Node client at the fake platform: node peer.mjs URL APP_ID APP_SECRET
// It prints one JSON object a line for each press. See the package's __init__.py for what all peers do.
import { Client, EventDispatcher, LoggerLevel, WSClient } from "@larksuiteoapi/node-sdk";

const [domain, appId, appSecret] = process.argv.slice(2);
const app = { appId, appSecret, domain, loggerLevel: LoggerLevel.error };
const client = new Client(app);

const CARD = {
  schema: "2.0",
  config: { streaming_mode: true, summary: { content: "..." } },
  body: {
    elements: [
      { tag: "markdown", element_id: "md", content: "" },
      {
        tag: "button",
        element_id: "stop",
        text: { tag: "plain_text", content: "Stop" },
        behaviors: [{ type: "callback", value: { k: "stop" } }],
      },
    ],
  },
};

function answered(response) {
  if (response.code !== 0) throw new Error(`${response.code} ${response.msg}`);
  return response.data;
}

async function reply(message_id, msg_type, content) {
  answered(await client.im.message.reply({ path: { message_id }, data: { msg_type, content: JSON.stringify(content) } }));
}

async function stream(message_id) {
  const made = await client.cardkit.v1.card.create({ data: { type: "card_json", data: JSON.stringify(CARD) } });
  const { card_id } = answered(made);
  await reply(message_id, "interactive", { type: "card", data: { card_id } });
  let sequence = 0;
  for (const content of ["Hello", "Hello &lt;you&gt;"]) {
    const path = { card_id, element_id: "md" };
    answered(await client.cardkit.v1.cardElement.content({ path, data: { content, sequence: ++sequence } }));
  }
  const settings = JSON.stringify({ config: { streaming_mode: false, summary: { content: "Hello" } } });
  answered(await client.cardkit.v1.card.settings({ path: { card_id }, data: { settings, sequence: ++sequence } }));
}

async function answer({ message_id, content }) {
  const { text } = JSON.parse(content);
  if (text === "card") return stream(message_id);
  return reply(message_id, "text", { text: text.length < 100 ? `heard: ${text}` : `length: ${text.length}` });
}

const eventDispatcher = new EventDispatcher({ loggerLevel: LoggerLevel.error }).register({
  "im.message.receive_v1": async ({ message }) => void answer(message), // the ack does not wait for the calls
  "card.action.trigger": async (event) => {
    console.log(JSON.stringify({ pressed: event.action.value, by: event.operator.open_id }));
    return { toast: { type: "success", content: "stopping" } };
  },
});

new WSClient(app).start({ eventDispatcher });
